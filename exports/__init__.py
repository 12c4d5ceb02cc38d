"""Every form of a generated library, built by its ecosystem's own tools and run on this machine."""
