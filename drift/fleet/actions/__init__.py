"""What changes the fleet's tables."""
