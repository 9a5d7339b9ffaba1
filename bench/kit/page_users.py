"""Locust users of the customer page (`customer_page.py` starts it): each opens one customer after the other, with 1–3 s to read.

A page is what the browser fetches for it: the customer with tickets and contacts, and the timeline's first part.
"""

import os
import random
from itertools import count
from typing import Final

from locust import FastHttpUser, between, task

from bench.kit.centre import secret_of

FIRST_AGENT: Final = int(os.environ["BENCH_FIRST_AGENT"])
AGENTS: Final = int(os.environ["BENCH_AGENTS"])
CUSTOMERS: Final = int(os.environ["BENCH_CUSTOMERS"])
COOKIE: Final = os.environ["BENCH_COOKIE"]
_numbers = count()


class Reader(FastHttpUser):  # type: ignore[misc, unused-ignore]
    wait_time = between(1, 3)
    network_timeout = connection_timeout = 30.0

    def on_start(self) -> None:
        agent = FIRST_AGENT + next(_numbers) % AGENTS
        self.cookie = {"Cookie": f"{COOKIE}={secret_of(agent)}"}

    @task
    def open_page(self) -> None:
        customer = random.randint(1, CUSTOMERS)
        self.client.get(f"/api/v1/customers/{customer}", name="customer", headers=self.cookie)
        self.client.get(f"/api/v1/customers/{customer}/timeline?limit=30", name="timeline", headers=self.cookie)
