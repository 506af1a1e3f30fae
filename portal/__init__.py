"""The Django project: settings, URLs, Celery app, gateway, embedded services. No domain here."""
