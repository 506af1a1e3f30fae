"""What an image holds: files of a container opened without leaving it, hashed, and looked up in its layers."""
