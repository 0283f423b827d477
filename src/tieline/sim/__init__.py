"""A simulated fleet of homes: a customer of the doors like any other, and the truth to measure the platform against."""
