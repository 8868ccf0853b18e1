"""Boxes, coordinate frames and resize chains: numbers only, no files, no images."""
