"""Starting a trainer on data whose frame is known. Importing this package loads no torch."""
