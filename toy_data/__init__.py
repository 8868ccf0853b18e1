"""The toy data: how its scenes are drawn, and the small detector that finds what is drawn."""
