"""The account's numbers and its TwiML App over REST, asked with the provider's own client."""

import pytest
from twilio.base.exceptions import TwilioRestException

from core import demo_account
from simulator.config import Line, Target
from tests.integration.simulator.service import World, a_world
from tests.integration.simulator.test_rest import ask, client

NUMBER = "+14155550199"


async def test_a_number_is_found_by_its_digits_and_asks_another_address_from_then_on(world: World) -> None:
    twilio = client(world)
    (found,) = await ask(lambda: twilio.incoming_phone_numbers.list(phone_number=NUMBER))
    assert (found.phone_number, found.voice_url) == (NUMBER, f"{world.service.url}/twilio/voice")
    changed = await ask(lambda: found.update(voice_url=f"{world.service.url}/other", voice_fallback_url=""))
    assert (changed.voice_url, changed.voice_method, changed.voice_fallback_url) == (
        f"{world.service.url}/other",
        "POST",
        "",
    )
    assert changed.status_callback == found.status_callback
    leg = world.call()
    await world.over(leg)
    assert len(world.service.at("/other")) == 1
    assert leg.phone_number_sid == found.sid
    assert len(await ask(lambda: twilio.incoming_phone_numbers.list())) == 1


async def test_a_twiml_app_answers_in_place_of_a_numbers_own_addresses(world: World) -> None:
    twilio = client(world)
    app = await ask(lambda: twilio.applications(demo_account.APP_SID).update(voice_url=f"{world.service.url}/app"))
    (number,) = await ask(lambda: twilio.incoming_phone_numbers.list(phone_number=NUMBER))
    await ask(lambda: number.update(voice_application_sid=app.sid))
    await world.over(world.call())
    assert len(world.service.at("/app")) == 1
    assert not world.service.at("/twilio/voice")


async def test_what_is_no_address_and_what_is_not_there_is_refused() -> None:
    async with a_world(accept_any_number=False, numbers={"+1999": Line(voice=Target("http://x/voice"))}) as world:
        twilio = client(world)
        assert [n.phone_number for n in await ask(lambda: twilio.incoming_phone_numbers.list())] == ["+1999"]
        assert await ask(lambda: twilio.incoming_phone_numbers.list(phone_number=NUMBER)) == []
        (number,) = await ask(lambda: twilio.incoming_phone_numbers.list())
        for more, code in (({"voice_url": "desk.example.com"}, 21502), ({"voice_method": "PUT"}, 21403)):
            with pytest.raises(TwilioRestException) as refused:
                await ask(lambda more=more: number.update(**more))  # type: ignore[misc]
            assert (refused.value.status, refused.value.code) == (400, code)
        for missing in (twilio.incoming_phone_numbers("PN" + "1" * 32), twilio.applications("AP" + "1" * 32)):
            with pytest.raises(TwilioRestException) as unknown:
                await ask(missing.fetch)
            assert unknown.value.status == 404


async def test_an_api_key_may_not_ask_about_the_account(world: World) -> None:
    found = await ask(client(world).api.v2010.accounts(demo_account.ACCOUNT_SID).fetch)
    assert (found.status, found.type) == ("active", "Full")
    keyed = client(world, demo_account.API_KEY_SID, demo_account.API_KEY_SECRET)
    assert (await ask(keyed.applications(demo_account.APP_SID).fetch)).sid == demo_account.APP_SID
    with pytest.raises(TwilioRestException) as refused:
        await ask(keyed.api.v2010.accounts(demo_account.ACCOUNT_SID).fetch)
    assert refused.value.status == 401
