"""The rules that rows must keep. A check looks at a record and yields findings; it changes nothing."""
