"""Every fault that is tried on the running deployment. The numbers are those of reference/reliability.md §2.

Each strikes while callers and agents are at work; it undoes itself and proves that it happened. What must hold afterwards is the
same for all: a new call is answered in time, the invariants hold, and the books outside agree with the database.
"""

from typing import Final

from tests.chaos import strike_edge as edge
from tests.chaos import strike_links as links
from tests.chaos import strike_processes as processes
from tests.chaos import strike_servers as servers
from tests.chaos.scene import Fault
from tests.link import Mode

RESET, HELD, SEEN, NEW_PID = "connections reset", "bytes held back", "seen in the server", "a new pid"

FAULTS: Final = (
    # A. The provider
    Fault("F01 twins", "one webhook fifty times at once, on both replicas", "50 requests", "50 equal answers", edge.twins),
    Fault("F02 backwards", "callbacks in any order, the last one first", "requests", "answers", edge.backwards),
    Fault("F03 a day late", "a webhook again after 25 hours", "rows made older", "the same answer", edge.a_day_late),
    Fault("F04 replica A restarts", "SIGTERM under calls", "signal", "exit code 0", processes.restarted(processes.replica_of_calls)),
    Fault("F07 hung up", "the provider breaks off in the middle of a request", "raw sockets", "aborted", edge.hung_up_in_the_middle),
    Fault("F08 half open", "300 requests that never end", "raw sockets", "open sockets", edge.half_open),
    Fault("F09 ugly bodies", "too large, not UTF-8, unsigned, empty", "raw requests", "4xx", edge.ugly_bodies),
    Fault("F12 all away", "Postgres, RabbitMQ and Redis stop at once", "SIGSTOP", "emergency answer", edge.everything_away),
    Fault("F06a webhooks reset", "the link to replica A is reset", "link", RESET, links.broken("webhooks", Mode.RESET)),
    Fault("F06b webhooks held", "the link to replica A swallows everything", "link", HELD, links.broken("webhooks", Mode.SWALLOW)),
    Fault("F06c answers lost", "webhooks arrive, their answers do not", "link", HELD, links.broken("webhooks", Mode.ONLY_TO_SERVER)),
    Fault("F06d answer unknown", "the link breaks after a webhook has arrived", "link", "links cut",
          links.cut_after("webhooks", b"CallSid=CA", times=2)),
    Fault("F06e webhooks slow", "300 ms more each way", "link", "pieces delayed", links.slow("webhooks", 0.3)),
    # B. Postgres
    Fault("F16 postgres crashes", "kill -9 of the server", "signal", NEW_PID, servers.postgres_crashes),
    Fault("F16b helper dies", "a background process of Postgres is killed", "signal", "new connections", processes.helper_of_postgres_dies),
    Fault("F17 sessions end", "every session of ours is terminated", "pg_terminate_backend", "sessions ended", servers.sessions_end),
    Fault("F17b postgres reset", "every connection is reset, new ones too", "link", RESET, links.broken("postgres", Mode.RESET)),
    Fault("F17c postgres refused", "nobody listens", "link", RESET, links.broken("postgres", Mode.REFUSE)),
    Fault("F17d postgres flaps", "reset 20 times at random moments", "link", RESET, links.flapping("postgres", 20)),
    Fault("F18 commit unknown", "the link breaks after COMMIT has arrived", "link", "links cut",
          links.cut_after("postgres", b"COMMIT;", times=5)),
    Fault("F18b answers lost", "statements arrive, results do not", "link", HELD, links.broken("postgres", Mode.ONLY_TO_SERVER)),
    Fault("F18c statements lost", "results arrive, statements do not", "link", HELD, links.broken("postgres", Mode.ONLY_TO_CLIENT)),
    Fault("F19 postgres stops", "SIGSTOP of the server and all its processes", "signal", "emergency answers", servers.postgres_freezes),
    Fault("F20 black hole", "the link to Postgres swallows everything", "link", HELD, links.broken("postgres", Mode.SWALLOW, for_s=6)),
    Fault("F20b postgres slow", "50 ms more each way", "link", "pieces delayed", links.slow("postgres", 0.05)),
    Fault("F21 read-only", "Postgres refuses to write", "a setting", "emergency answers", servers.read_only),
    Fault("F22 pool exhausted", "a table is locked, every connection waits", "LOCK TABLE", SEEN,
          servers.locked("LOCK TABLE provider_events IN ACCESS EXCLUSIVE MODE", for_s=3)),
    Fault("F23 worker hangs", "each worker stops for 8 s, past its leases", "SIGSTOP", "state T",
          processes.frozen(processes.workers, for_s=8), is_slow=True),
    Fault("F24 rows locked", "a stranger holds the agents' rows", "FOR UPDATE", SEEN,
          servers.locked("SELECT 1 FROM agents FOR UPDATE", for_s=3)),
    Fault("F26 schema changes", "columns come and go under load", "ALTER TABLE", "statements run", servers.schema_changes),
    Fault("F28 old snapshot", "a long report holds an old snapshot", "transaction", SEEN, servers.old_snapshot),
    Fault("F29 late commit", "a lower event id is committed after higher ones, others never", "transaction", "higher ids done first",
          servers.late_commit_of_a_lower_id),
    # C. Outbox and RabbitMQ
    Fault("F32 broker restarts", "stop_app, start_app", "rabbitmqctl", "both replicas say down", servers.rabbitmq_restarts, is_slow=True),
    Fault("F33 broker killed", "kill -9 of the node", "signal", "connections without a server", servers.rabbitmq_killed(erased=False)),
    Fault("F34 broker stops", "SIGSTOP past two heartbeats", "signal", "both replicas say down", servers.rabbitmq_freezes, is_slow=True),
    Fault("F35 broker flaps", "reset 20 times at random moments", "link", RESET, links.flapping("rabbitmq", 20)),
    Fault("F35b broker refused", "nobody listens", "link", RESET, links.broken("rabbitmq", Mode.REFUSE)),
    Fault("F35c broker swallowed", "the link swallows everything", "link", HELD, links.broken("rabbitmq", Mode.SWALLOW, for_s=8)),
    Fault("F36 confirms lost", "messages arrive, confirms and deliveries do not", "link", HELD,
          links.broken("rabbitmq", Mode.ONLY_TO_SERVER, for_s=7)),
    Fault("F36b acks lost", "deliveries arrive, acks and messages do not", "link", HELD,
          links.broken("rabbitmq", Mode.ONLY_TO_CLIENT, for_s=7)),
    Fault("F36c broker slow", "100 ms more each way", "link", "pieces delayed", links.slow("rabbitmq", 0.1)),
    Fault("F37 disk alarm", "the broker blocks publishers", "rabbitmqctl", "its alarm",
          servers.alarm(("set_disk_free_limit", "900000GB"), ("set_disk_free_limit", "10MB")), is_slow=True),
    Fault("F37b memory alarm", "the broker blocks publishers", "rabbitmqctl", "its alarm",
          servers.alarm(("set_vm_memory_high_watermark", "absolute", "1MB"), ("set_vm_memory_high_watermark", "0.4")), is_slow=True),
    Fault("F38 binding missing", "an event leads nowhere", "unbind", "unbind confirmed", servers.binding_missing, is_slow=True),
    Fault("F39 queue deleted", "a queue vanishes under its consumers", "delete", "deleted", servers.queue_deleted, is_slow=True),
    Fault("F42 broker erased", "killed, and its data are gone", "signal, rm", "connections without a server",
          servers.rabbitmq_killed(erased=True)),
    Fault("F43 poison", "a body that fits no model", "planted row", "parked with its reason", servers.poison),
    Fault("F45 newer version", "a message of a later release", "planted row", "parked, replayed, done", servers.newer_version),
    Fault("F46 tickets locked", "what a consumer needs is locked", "FOR UPDATE", SEEN,
          servers.locked("SELECT 1 FROM tickets FOR UPDATE", for_s=3)),
    Fault("F47 backlog", "2,000 old messages before the new ones", "published", "copies taken", servers.delivered_again(2000)),
    Fault("F48 delivered twice", "done deliveries come again", "published", "copies taken", servers.delivered_again(60)),
    # D. Routing
    Fault("F50 two dispatchers", "both workers are woken again and again", "published", "wakes", processes.two_dispatchers),
    Fault("F55 caller leaves", "the caller hangs up while it rings", "the phone", "offer withdrawn", processes.caller_leaves_while_it_rings),
    Fault("F56 skills gone", "agents lose their skills at work", "rows changed", "agents changed", processes.skills_are_taken_away),
    # E. Realtime
    Fault("F60 desks cut", "every desk's connection is reset", "link", RESET, links.broken("desks", Mode.RESET, for_s=1)),
    Fault("F60b desks flap", "reset 5 times at random moments", "link", RESET, links.flapping("desks", 5)),
    Fault("F61 desks half open", "the link to the desks swallows everything", "link", HELD, links.broken("desks", Mode.SWALLOW, for_s=5)),
    Fault("F62 replica B killed", "kill -9 under its desks", "signal", NEW_PID, processes.killed(processes.replica_of_desks)),
    Fault("F64 pops lost", "desks are not told, what they say arrives", "link", HELD, links.broken("desks", Mode.ONLY_TO_SERVER)),
    Fault("F66 acks lost", "desks are told, what they say does not arrive", "link", HELD, links.broken("desks", Mode.ONLY_TO_CLIENT)),
    Fault("F66b desks slow", "200 ms more each way", "link", "pieces delayed", links.slow("desks", 0.2)),
    # F. Redis
    Fault("F65 redis killed", "kill -9 of the server", "signal", NEW_PID, servers.redis_killed),
    Fault("F69 redis flushed", "FLUSHALL in a loop", "command", "keys there were", servers.redis_flushed),
    Fault("F70 redis stops", "SIGSTOP", "signal", "an offer meanwhile", servers.redis_freezes),
    Fault("F70b redis swallowed", "the link swallows everything", "link", HELD, links.broken("redis", Mode.SWALLOW)),
    Fault("F70c redis reset", "the link is reset", "link", RESET, links.broken("redis", Mode.RESET)),
    Fault("F70d redis answers lost", "commands arrive, answers do not", "link", HELD, links.broken("redis", Mode.ONLY_TO_SERVER)),
    Fault("F71 redis full", "no memory for any key", "maxmemory", "OOM", servers.redis_full),
    Fault("F72 password attack", "14 guesses while Redis is away", "requests", "429", servers.attack_on_a_password_without_redis),
    # G, H. Processes and the provider's interface
    Fault("F79 workers killed", "kill -9 of each worker", "signal", NEW_PID, processes.killed(processes.workers)),
    Fault("F79b replica A killed", "kill -9 under its calls", "signal", NEW_PID, processes.killed(processes.replica_of_calls)),
    Fault("F79c rolling restart", "SIGTERM to one after the other", "signal", "exit code 0", processes.restarted(processes.everybody), is_slow=True),
    Fault("F73 replica A hangs", "its loop stands still for 1.5 s", "SIGSTOP", "state T", processes.frozen(processes.replica_of_calls, for_s=1.5)),
    Fault("F73b replica B hangs", "its loop stands still for 4 s", "SIGSTOP", "state T", processes.frozen(processes.replica_of_desks, for_s=4)),
    Fault("F78 no processor", "four others burn what there is", "processes", "processes", processes.starved),
    Fault("F82 provider refuses", "nobody listens at its REST interface", "link", RESET, links.broken("provider", Mode.REFUSE)),
    Fault("F82b provider resets", "REST requests are reset", "link", RESET, links.broken("provider", Mode.RESET)),
    Fault("F82c REST answers lost", "commands are done and never answered", "link", HELD, links.broken("provider", Mode.ONLY_TO_SERVER)),
    Fault("F82d provider swallowed", "REST requests are swallowed", "link", HELD, links.broken("provider", Mode.SWALLOW)),
    Fault("F82e provider slow", "500 ms more each way", "link", "pieces delayed", links.slow("provider", 0.5)),
)  # fmt: skip
