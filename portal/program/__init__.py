"""`driftwatch-portal`: one program for each process of the portal, as a package, an image or a chart starts it."""
