"""Every command as a library function with a typed configuration and a typed result."""
