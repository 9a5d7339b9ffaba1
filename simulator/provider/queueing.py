"""<Enqueue>: the parking place. The wait document is asked for again each time it ends."""

from typing import TYPE_CHECKING

from simulator.provider import twiml
from simulator.provider.flow import DocumentRequest, Goto, HungUp, LeftQueue, Redirected
from simulator.provider.twiml import Document, DocumentFailed, Verb

if TYPE_CHECKING:
    from simulator.provider.engine import Engine


async def enqueue(engine: "Engine", verb: Verb, document: Document) -> None:
    """Returns (the document goes on) only without an action URL."""
    leg, exchange, now = engine.leg, engine.exchange, engine.clock.now
    if not verb.text:
        raise DocumentFailed(twiml.SCHEMA_FAILED, "<Enqueue> without a queue name", document.url)
    queue = exchange.queue(verb.text, verb.whole("maxQueueSize", 0) or None)
    action = engine.action(verb, document)
    wait = (
        engine.target(verb.get("waitUrl"), verb.get("waitUrlMethod", "POST"), document) if verb.get("waitUrl") else None
    )

    def result(word: str, waited_s: int) -> dict[str, str]:
        exchange.journal.add("queue", sid=leg.sid, queue=queue.name, event=word, waited_s=waited_s)
        return {"QueueResult": word, "QueueSid": queue.sid, "QueueTime": str(waited_s)}

    if queue.is_full:
        facts = result("queue-full", 0)
    else:
        queue.join(leg, now())
        exchange.journal.add("queue", sid=leg.sid, queue=queue.name, event="joined")
        try:
            if wait is None:
                await leg.wait_for(lambda: False, None)
            else:
                first = engine.waiting_request(DocumentRequest(wait))
                await engine.play_waiting(first, twiml.WAITING_VERBS, "a wait document", is_endless=True)
            raise AssertionError("unreachable: a queue is left by exception only")
        except LeftQueue:
            facts = result("leave", queue.leave(leg, now()))
        except HungUp:
            engine.notify_action(action, result("hangup", queue.leave(leg, now())))
            raise
        except Redirected:
            engine.notify_action(action, result("redirected", queue.leave(leg, now())))
            raise
        except DocumentFailed as failed:
            engine.report(failed)
            facts = result("error", queue.leave(leg, now()))
    if action is not None:
        raise Goto(DocumentRequest(action, facts))
