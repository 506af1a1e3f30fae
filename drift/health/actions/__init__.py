"""Record what processes and tasks report, check the portal, and record when conditions began."""
