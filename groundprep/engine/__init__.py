"""Where work runs. An engine distributes pure functions over records and gives results back in order."""
