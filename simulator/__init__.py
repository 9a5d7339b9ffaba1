"""A stand-in for Twilio, callers and agents; speaks only HTTP and Socket.IO.

- `provider/`: the fake Twilio. `exchange` holds calls and conferences and lets them begin and end; `engine` plays
  TwiML on one leg, the verbs with more to them in `gathering`, `queueing` and `dialing`; `webhooks` and `callbacks`
  ask the service, signed; `rest/` is the provider's REST API.
- `people/`: `person` is on the line (scripted), `agents` work at desks over REST, socket and softphone, `callers` draws
  who calls, `ledger` and `report` keep the accounts.
- `server.create_app` is mounted at /demo or served by `python -m simulator serve`; `control` is its own interface;
  `run.simulate` and `traffic.Traffic` drive a service with people; `clock.VirtualClock` lets tests skip the waiting.
"""
