from django.apps import AppConfig


class DatabaseConfig(AppConfig):
    name = "plane.db"
    label = "db"
