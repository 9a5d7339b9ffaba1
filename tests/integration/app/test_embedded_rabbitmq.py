import os
from pathlib import Path

import aio_pika
import pytest

from app.embedded import EmbeddedError, find_rabbitmq, private_rabbitmq, rabbitmq
from tests.integration.app.hosting import a_host, commands_naming, runs, seconds_until

installed = pytest.mark.skipif(
    find_rabbitmq() is None and not os.environ.get("RINGDESK_REQUIRE_SERVERS"),
    reason="rabbitmq-server is not installed",
)


@installed
async def test_durable_message_survives_a_killed_parent_and_no_process_does(data_dir: Path) -> None:
    async with a_host(data_dir, "rabbitmq") as host:
        node = host.servers["rabbitmq"]
        connection = await aio_pika.connect(node.url, timeout=10)
        async with connection:
            channel = await connection.channel(publisher_confirms=True)
            await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
            await channel.default_exchange.publish(
                aio_pika.Message(b"hello", delivery_mode=aio_pika.DeliveryMode.PERSISTENT), routing_key="kept"
            )
        assert commands_naming(str(data_dir))
        host.kill()
        await seconds_until(lambda: not runs(node.pid), within_s=2)
        # Neither the node nor its port mapper nor a helper of Erlang's.
        await seconds_until(lambda: not commands_naming(str(data_dir)), within_s=1)
    async with private_rabbitmq(data_dir) as again:
        assert again.detail.startswith("RabbitMQ 3.") or again.detail.startswith("RabbitMQ 4.")
        connection = await aio_pika.connect(again.url, timeout=10)
        async with connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
            message = await queue.get(timeout=10)
            assert message is not None
            assert message.body == b"hello"
            await message.ack()
        mapper = (data_dir / "rabbitmq" / "epmd.json").read_text()
    assert mapper
    assert not commands_naming(str(data_dir))


async def test_missing_rabbitmq_is_one_sentence(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq, "find_rabbitmq", lambda: None)
    with pytest.raises(EmbeddedError, match="install the package rabbitmq-server, or use --broker local"):
        async with private_rabbitmq(data_dir):
            pass
