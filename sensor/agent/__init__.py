"""The sensor at work: one loop that reads, decides and stores; three threads that speak to the portal."""
