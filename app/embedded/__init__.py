"""Servers that Ringdesk starts for itself when it is given no address of one."""

from app.embedded.children import Server
from app.embedded.places import EmbeddedError
from app.embedded.postgres import client_programs, embedded_postgres
from app.embedded.rabbitmq import find_rabbitmq, private_rabbitmq
from app.embedded.valkey import embedded_valkey

__all__ = [
    "EmbeddedError",
    "Server",
    "client_programs",
    "embedded_postgres",
    "embedded_valkey",
    "find_rabbitmq",
    "private_rabbitmq",
]
