"""What sensor and portal must name alike: pods' owners, image references, escaped file names. Standard library only."""
