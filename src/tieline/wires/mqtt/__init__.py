"""What Tieline and a VEN say to each other over MQTT."""
