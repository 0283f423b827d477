"""NATS: one server that is the Log and the MQTT door: its child process, the Log on JetStream, who may connect."""
