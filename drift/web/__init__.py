"""What the apps share of the web: requests, cursors, request bodies, API serializers and OpenAPI responses."""
