"""The product's processes as a measurement starts them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from app.embedded.children import free_port
from bench.kit.process import Program, program, ringdesk
from bench.kit.servers import Servers


@dataclass(frozen=True, slots=True)
class Service:
    """Something that takes webhooks and holds desks: product or floor."""

    public_url: str
    urls: list[str]
    programs: list[Program]


def environment(servers: Servers, database: str, public_url: str, provider_port: int | None) -> dict[str, str]:
    env = {
        "RINGDESK_DATABASE_URL": servers.database(database),
        "RINGDESK_REDIS_URL": servers.valkey.url,
        "RINGDESK_PUBLIC_URL": public_url,
        "RINGDESK_LOG_LEVEL": "WARNING",
    }
    if provider_port is not None:
        env["RINGDESK_TWILIO_API_BASE"] = f"http://127.0.0.1:{provider_port}"
    return env


@asynccontextmanager
async def one_process(servers: Servers, database: str, *, provider_port: int | None = None) -> AsyncIterator[Service]:
    """`ringdesk up` with the local broker, on the measurement's own servers."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = environment(servers, database, url, provider_port)
    argv = ringdesk("up", "--port", str(port), "--broker", "local", "--no-demo")
    async with program("up", argv, env=env, ready="ringdesk ready") as started:
        yield Service(url, [url], [started])


@asynccontextmanager
async def processes(
    servers: Servers, database: str, *, webs: int = 1, workers: int = 1, provider_port: int | None = None
) -> AsyncIterator[Service]:
    """`ringdesk web` and `ringdesk worker`, joined by RabbitMQ and Redis."""
    assert servers.rabbitmq is not None
    ports: list[int] = []
    for _ in range(webs):
        ports.append(free_port(avoid=ports))
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    env = environment(servers, database, urls[0], provider_port) | {"RINGDESK_RABBITMQ_URL": servers.rabbitmq.url}
    async with AsyncExitStack() as stack:
        started: list[Program] = []
        for n, port in enumerate(ports):
            web = program(f"web-{n}", ringdesk("web", "--port", str(port)), env=env, ready="ringdesk web ready")
            started.append(await stack.enter_async_context(web))
        for n in range(workers):
            worker = program(f"worker-{n}", ringdesk("worker"), env=env, ready="ringdesk worker ready")
            started.append(await stack.enter_async_context(worker))
        yield Service(urls[0], urls, started)
