"""Twins: what each device is asked to be, and what it says that it is (the device shadows of AWS IoT Core)."""
