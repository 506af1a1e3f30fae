"""What an administrator or supervisor runs on a node: enrol, run, doctor, health."""
