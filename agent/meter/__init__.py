"""Energy meters: an adapter driven by device definition files."""
