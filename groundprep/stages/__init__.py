"""Steps between reading and writing. A batch stage maps records one to one; a stream stage may change their number."""
