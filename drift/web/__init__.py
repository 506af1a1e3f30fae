"""Web code shared by all apps: requests, cursors, request bodies, API serializers and OpenAPI responses."""
