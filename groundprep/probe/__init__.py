"""What runs in somebody else's Python: no module here imports anything but the standard library before it knows what is there."""
