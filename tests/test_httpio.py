"""A forge's API is read page by page, within its limits, and the token goes nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from ledger import httpio
from ledger.errors import SourceError
from ledger.httpio import Absent, Api
from ledger.testing.servers import Asked, Reply, web_server

TOKEN = {"authorization": "Bearer secret-token"}


def opened(base: str, rested: list[float] | None = None) -> Api:
    rest: Callable[[float], None] = (rested if rested is not None else []).append
    return Api.open("github", base, TOKEN, rest)


def in_turn(*replies: Reply) -> Callable[[Asked], Reply]:
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def test_pages_are_followed_by_their_links() -> None:
    with web_server(lambda _: Reply()) as server:

        def answer(asked: Asked) -> Reply:
            page = int(asked.query.get("page", "1"))
            following = f'<{server.url}/api/list?page={page + 1}>; rel="next"'
            first = f'<{server.url}/api/list?page=1>; rel="first"'
            return Reply([page], headers={"link": f"{first}, {following}"} if page < 3 else {})

        server.answer = answer
        api = opened(f"{server.url}/api")
        assert [page.value() for page in api.pages("list")] == [[1], [2], [3]]
        assert {one.headers["authorization"] for one in server.asked} == {"Bearer secret-token"}


def test_pages_that_are_numbered_are_asked_for_where_the_first_was() -> None:
    def answer(asked: Asked) -> Reply:
        page = int(asked.query.get("page", "1"))
        link = f'<https://elsewhere.example.org/list?page={page + 1}>; rel="next"'
        return Reply(
            [page], headers={"x-next-page": str(page + 1) if page < 3 else "", "link": link}
        )

    with web_server(answer) as server:
        api = opened(f"{server.url}/api")
        pages = (api.get("projects/a%2Fb/list?per_page=1"), api.get("projects/a%2Fb/list?page=2"))
        assert [api.get(one.next).value() for one in pages] == [[2], [3]]
        assert server.asked[-1].path == "/api/projects/a%2Fb/list"
        assert server.asked[1].query == {"page": "2"}
        assert server.asked[2].query == {"per_page": "1", "page": "2"}


def test_what_did_not_change_costs_no_body() -> None:
    with web_server(
        lambda asked: Reply(status=304) if asked.headers.get("if-none-match") else Reply([1])
    ) as server:
        assert opened(server.url).get("list", etag='"x"').unchanged
        assert opened(server.url).get("list").value() == [1]


def test_a_server_that_fails_for_a_moment_is_asked_again() -> None:
    rested: list[float] = []
    with web_server(in_turn(Reply(status=502), Reply(status=500), Reply([1]))) as server:
        assert opened(server.url, rested).get("list").value() == [1]
    assert rested == [2.0, 4.0]


def test_a_server_that_goes_on_failing_is_an_error_to_try_again_later() -> None:
    with web_server(in_turn(Reply(status=503))) as server, pytest.raises(SourceError) as caught:
        opened(server.url).get("list")
    assert caught.value.retryable
    assert "failed 4 times" in caught.value.message


def test_a_short_limit_is_waited_for() -> None:
    rested: list[float] = []
    limited = Reply(status=429, headers={"retry-after": "7"})
    with web_server(in_turn(limited, Reply([1]))) as server:
        opened(server.url, rested).get("list")
    assert rested == [7.0]


def test_a_long_limit_ends_the_reading_and_says_until_when() -> None:
    until = int(time.time()) + 3_000
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(until)}
    with (
        web_server(in_turn(Reply(status=403, headers=headers))) as server,
        pytest.raises(SourceError) as caught,
    ):
        opened(server.url).get("list")
    assert caught.value.retryable
    assert time.strftime("%Y-%m-%dT%H:%M", time.gmtime(until)) in caught.value.message


def test_a_refusal_says_what_the_server_said() -> None:
    refused = Reply({"message": "Bad credentials\x1b[2J"}, status=401)
    with web_server(in_turn(refused)) as server, pytest.raises(SourceError) as caught:
        opened(server.url).get("list?token=abc")
    assert caught.value.message.endswith("/list answered 401: Bad credentials[2J")
    assert "token" in caught.value.hint


def test_what_is_not_there_is_told_apart() -> None:
    with web_server(in_turn(Reply(status=404))) as server, pytest.raises(Absent):
        opened(server.url).get("list")


def test_a_renamed_repository_is_followed_and_a_circle_is_not() -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/old":
            return Reply(status=301, headers={"location": "/new"})
        if asked.path == "/new":
            return Reply([1])
        return Reply(status=302, headers={"location": asked.path})

    with web_server(answer) as server:
        assert opened(server.url).get("old").value() == [1]
        with pytest.raises(SourceError, match="leads in a circle"):
            opened(server.url).get("round")


@pytest.mark.parametrize("how", ["redirect", "link"])
def test_the_token_goes_to_no_other_server(how: str) -> None:
    with web_server(lambda _: Reply([])) as other, web_server(lambda _: Reply()) as server:
        away = f"{other.url}/steal"
        server.answer = lambda _: (
            Reply(status=302, headers={"location": away})
            if how == "redirect"
            else Reply([], headers={"link": f'<{away}>; rel="next"'})
        )
        with pytest.raises(SourceError, match="leads to another server"):
            list(opened(server.url).pages("list"))
        assert other.asked == []


def test_a_token_is_not_sent_in_clear_over_the_network() -> None:
    with pytest.raises(SourceError, match="would send the token in clear"):
        Api.open("github", "http://github.example.org/api/v3", TOKEN)


def test_an_answer_without_end_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpio, "MAX_ANSWER", 1_000)
    with (
        web_server(in_turn(Reply(b"x" * 5_000))) as server,
        pytest.raises(SourceError, match="is larger than"),
    ):
        opened(server.url).get("list")


def test_an_answer_that_is_no_json_is_an_error_of_the_server() -> None:
    with web_server(in_turn(Reply(b"<html>"))) as server, pytest.raises(SourceError) as caught:
        opened(server.url).get("list").value()
    assert caught.value.retryable
