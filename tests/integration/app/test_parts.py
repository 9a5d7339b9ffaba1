"""What a process opens it closes: nothing is left to the garbage collector."""

from app.parts import open_parts
from app.settings import Settings


async def test_no_connection_to_redis_outlives_the_parts(database_url: str, redis_url: str) -> None:
    settings = Settings(public_url="http://127.0.0.1:8080", database_pool=2)
    async with open_parts(
        settings, database_url=database_url, redis_url=redis_url, rabbitmq_url=None, public_url="http://127.0.0.1:8080"
    ) as parts:
        pool = parts.resources.redis.connection_pool
        assert await parts.resources.redis.ping()
        connections = list(pool._available_connections)
        assert [connection.is_connected for connection in connections] == [True]
    assert [connection.is_connected for connection in connections] == [False]
