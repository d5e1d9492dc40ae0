"""The lab's stand-in for Plane's backend: the same package name and shape, none of its code."""
