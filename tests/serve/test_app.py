"""Requests for predictions: right answers, clear refusals, and nothing of the server in either."""

import asyncio
import json
import sys

import pytest
from served import Echo, asked, near, post, sentence
from transformers import pipeline

from hf_ext.serve import Limits, ServedModel, make_app, open_model

TEXTS = ["林一舟写了长河", "何远", "", "长河，长河"]
QUESTION = {"question": "谁写了长河", "context": "林一舟写了长河，何远写了春江。"}
PATH = "/models/echo/predict"


def test_answers_are_the_pipelines(folders):
    names = ("classifier", "reader")
    classify = pipeline("classification", model=str(folders["classifier"]))
    read = pipeline("reading-comprehension", model=str(folders["reader"]))
    pair = {"text": "何远", "text2": "春江"}

    async def talk(client):
        bodies = [
            ("classifier", {"inputs": [*TEXTS, {"text": "何远"}, pair]}),
            ("classifier", {"inputs": TEXTS[0], "parameters": {"threshold": 0.01}}),
            ("reader", {"inputs": QUESTION, "parameters": {"top_k": 2}}),
        ]
        return [(await client.post(f"/models/{name}/predict", json=body)).json() for name, body in bodies]

    found = asked({name: open_model(str(folders[name])) for name in names}, talk)
    assert found == [
        {"model": "classifier", "results": near([{"classes": classify(one)} for one in [*TEXTS, "何远", pair]])},
        {"model": "classifier", "results": near([{"classes": classify(TEXTS[0], threshold=0.01)}])},
        {"model": "reader", "results": near([{"answers": read(QUESTION, top_k=2)}])},
    ]
    assert len(found[1]["results"][0]["classes"]) == 3


def test_similarity_is_that_of_the_pair(folders):
    pairs = [{"text1": "何远", "text2": "春江"}, {"text1": "长河", "text2": "长河"}]
    wanted = pipeline("text-similarity", model=str(folders["encoder"]))(pairs)
    answer = post({"a": open_model(str(folders["encoder"]), "similarity")}, "/models/a/predict", {"inputs": pairs})
    assert answer.json()["results"] == near([{"similarity": one} for one in wanted])


def test_who_leaves_leaves_the_queue():
    """One leaves while its text runs and one while it waits; the third is answered, and nothing more is run."""
    echo = Echo()
    echo.gate.clear()
    app = make_app({"echo": echo}, Limits(wait_ms=0))
    batcher = app.state.models["echo"].batcher

    async def ask(text, leaves):
        """What is sent to a client, which leaves when it is told."""
        body, sent = [{"type": "http.request", "body": json.dumps({"inputs": text}).encode()}], []

        async def receive():
            if body:
                return body.pop()
            await leaves.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": headers}
        await app(scope, receive, send)
        return sent

    async def talk():
        leaves, stays = asyncio.Event(), asyncio.Event()
        async with app.router.lifespan_context(app):
            running = asyncio.create_task(ask("running", leaves))
            assert await asyncio.to_thread(echo.entered.wait, 30)
            others = [asyncio.create_task(ask("waiting", leaves)), asyncio.create_task(ask("last", stays))]
            while batcher.waiting < 2:
                await asyncio.sleep(0.01)
            leaves.set()
            assert await asyncio.gather(running, others[0]) == [[], []]
            assert batcher.waiting == 1
            echo.gate.set()
            return await others[1]

    start, *rest = asyncio.run(talk())
    assert start["status"] == 200
    assert json.loads(b"".join(one["body"] for one in rest))["results"] == [{"texts": [{"text": "last"}]}]
    assert [inputs for inputs, _ in echo.batches] == [["running"], ["last"]]


def test_groups_of_one_client_are_not_those_of_another(folders):
    """Two clients call their groups the same, with choices of their own."""
    bodies = [
        [{"text": "何远", "choices": choices, "group": "1"}, {"text": "谁", "choices": choices, "group": "1"}]
        for choices in (["甲", "乙"], ["丙", "丁", "写"])
    ]
    model = open_model(str(folders["chooser"]))

    async def talk(client):
        posts = [client.post("/models/a/predict", json={"inputs": body}) for body in bodies]
        return [answer.json()["results"] for answer in await asyncio.gather(*posts)]

    found = asked({"a": model}, talk, Limits(wait_ms=200))
    assert found == [near([{"answers": one} for one in model(body)]) for body in bodies]


def test_many_clients_get_their_own_answers():
    echo = Echo()

    async def talk(client):
        async def ask(number):
            texts = [f"{number}.{place}" for place in range(1 + number % 4)]
            threshold = (number % 2) / 2
            answer = await client.post(PATH, json={"inputs": texts, "parameters": {"threshold": threshold}})
            wanted = [{"texts": [{"text": text, "threshold": threshold}]} for text in texts]
            return answer.json()["results"] == wanted

        return await asyncio.gather(*map(ask, range(60)))

    assert asked({"echo": echo}, talk, Limits(wait_ms=20)) == [True] * 60
    assert sum(echo.sizes) == 150
    assert 1 < max(echo.sizes) <= 16
    assert len(echo.sizes) < 60
    # Options by the pipeline's names of them, the same for all of a batch.
    assert all(
        {float(text.partition(".")[0]) % 2 / 2 for text in texts} == {given["threshold"]}
        for texts, given in echo.batches
    )


LIMITS = Limits(body_bytes=2000, texts=3, characters=10, waiting=6, wait_ms=0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"inputs": []}, "inputs must be a text, or a list of 1 to 3 of these"),
        ({"inputs": ["a"] * 4}, "inputs must be a text, or a list of 1 to 3 of these"),
        ({"inputs": [["a"]]}, "inputs must be a text, or a list of 1 to 3 of these"),
        ({"inputs": {"text": 1}}, "inputs must be a text, or a list of 1 to 3 of these"),
        ({"inputs": {"text": "a", "more": "b"}}, "inputs must be a text, or a list of 1 to 3 of these"),
        ({"inputs": None}, "inputs must be a text, or a list of 1 to 3 of these"),
        ({}, "inputs must be a text, or a list of 1 to 3 of these"),
        ({"inputs": "a" * 11}, "inputs must have texts of at most 10 characters, got a longer one"),
        ({"inputs": ["a", {"text": "长" * 11}]}, "inputs must have texts of at most 10 characters, got a longer one"),
        ({"inputs": "\ud800"}, "inputs must be a text, or a list of 1 to 3 of these"),
        ({"inputs": "a", "more": 1}, "more has no effect here; leave it out"),
        ({"inputs": "a", "parameters": {"stride": 1}}, "parameters.stride has no effect here; leave it out"),
        ({"inputs": "a", "parameters": {"threshold": 1}}, "parameters.threshold: input should be less than 1"),
        ({"inputs": "a", "parameters": {"top_k": True}}, "parameters.top_k: input should be a valid integer"),
        ({"inputs": "a", "parameters": {"top_k": 0}}, "parameters.top_k: input should be greater than or equal to 1"),
        ([], "the body must be a JSON object, sent as application/json"),
        (None, "the body must be a JSON object, sent as application/json"),
    ],
)
def test_what_makes_no_sense_is_refused(body, message):
    echo = Echo()
    answer = post({"echo": echo}, PATH, body, LIMITS)
    assert (answer.status_code, sentence(answer)) == (422, message)
    assert echo.batches == []


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"[" * 1900, "application/json", 400),
        (b'{"inputs": ' + b"9" * 1900 + b"}", "application/json", 422),
        (b'{"inputs": "a"}', "text/plain", 422),
        (b"", "application/json", 422),
    ],
)
def test_what_is_no_json_is_refused(content, kind, status):
    async def talk(client):
        return await client.post(PATH, content=content, headers={"Content-Type": kind})

    answer = asked({"echo": Echo()}, talk, LIMITS)
    assert (answer.status_code, bool(sentence(answer))) == (status, True)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_not_read(chunked):
    read = []

    async def talk(client):
        async def parts():
            for number in range(100):
                read.append(number)
                yield b" " * 500

        answer = await client.post(PATH, content=parts() if chunked else b" " * 2001)
        fits = await client.post(
            PATH, content=b'{"inputs": "a"}'.ljust(2000), headers={"Content-Type": "application/json"}
        )
        return answer, fits

    answer, fits = asked({"echo": Echo()}, talk, LIMITS)
    assert (answer.status_code, sentence(answer)) == (413, "the body must have at most 2000 bytes, got more")
    assert fits.status_code == 200
    assert len(read) <= 6


def test_a_slow_body_is_not_waited_for():
    async def talk(client):
        async def parts():
            yield b"{"
            await asyncio.sleep(20)
            yield b"}"

        return await client.post(PATH, content=parts())

    answer = asked({"echo": Echo()}, talk, Limits(seconds=0.1))
    assert (answer.status_code, sentence(answer)) == (408, "the body must arrive within 0.1 seconds")


async def until(true):
    while not true():
        await asyncio.sleep(0.005)


def test_a_full_queue_refuses_and_goes_on():
    echo = Echo()
    echo.gate.clear()

    async def talk(client):
        first = asyncio.create_task(client.post(PATH, json={"inputs": "a"}))
        await until(echo.entered.is_set)
        waiting = [asyncio.create_task(client.post(PATH, json={"inputs": ["b"] * 3})) for _ in range(2)]
        # The application is the client's transport's.
        await until(lambda: client._transport.app.state.models["echo"].batcher.waiting == 6)
        refused = await client.post(PATH, json={"inputs": "c"})
        figures = (await client.get("/metrics")).text
        echo.gate.set()
        return refused, figures, [await one for one in (first, *waiting)]

    refused, figures, answers = asked({"echo": echo}, talk, LIMITS)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert sentence(refused) == "as many texts wait for this model as may; try again later"
    assert 'hf_ext_waiting_texts{model="echo"} 6.0' in figures
    assert [len(answer.json()["results"]) for answer in answers] == [1, 3, 3]


def test_as_many_bodies_are_held_as_may_wait():
    echo = Echo()
    echo.gate.clear()
    limits = Limits(waiting=2, texts=1, wait_ms=0)

    async def talk(client):
        tasks = [asyncio.create_task(client.post(PATH, json={"inputs": "a"})) for _ in range(2)]
        await until(echo.entered.is_set)
        refused = await client.post(PATH, json={"inputs": "c"})
        lives = await client.get("/health")
        echo.gate.set()
        return refused, lives, [await one for one in tasks]

    refused, lives, answers = asked({"echo": echo}, talk, limits)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert sentence(refused) == "the server has as many requests as it takes; try again later"
    assert [answer.status_code for answer in (lives, *answers)] == [200, 200, 200]


def test_who_waits_too_long_is_told_and_not_run():
    echo = Echo()
    echo.gate.clear()

    async def talk(client):
        first = asyncio.create_task(client.post(PATH, json={"inputs": "a"}))
        await until(echo.entered.is_set)
        second = await client.post(PATH, json={"inputs": "b"})
        echo.gate.set()
        return await first, second, await client.post(PATH, json={"inputs": "c"})

    first, second, third = asked({"echo": echo}, talk, Limits(seconds=1.0, wait_ms=0))
    for late in (first, second):
        assert (late.status_code, sentence(late)) == (
            504,
            "there was no answer within 1 seconds; ask for less, or later",
        )
    assert third.status_code == 200
    assert [texts for texts, _ in echo.batches] == [["a"], ["c"]]


def test_an_error_of_the_server_is_told_to_its_log_alone(caplog):
    def fails(text):
        return {"a": OSError("[Errno 2] /secret/model.bin"), "b": ValueError("/secret/by a library")}.get(text)

    async def talk(client):
        return [await client.post(PATH, json={"inputs": text}) for text in "abc"]

    *failed, right = asked({"echo": Echo(fails)}, talk)
    for answer, cause in zip(failed, ("model.bin", "by a library")):
        request = answer.headers["x-request-id"]
        assert answer.status_code == 500
        assert sentence(answer) == f"the server failed at this request; its log has more under {request}"
        (record,) = [one for one in caplog.records if request in one.getMessage()]
        assert cause in str(record.exc_info[1])
        assert "secret" not in str(answer.headers) + answer.text
    assert right.status_code == 200


def test_an_error_of_one_is_not_the_others():
    def fails(text):
        return RuntimeError("no") if text == "3" else None

    async def talk(client):
        answers = await asyncio.gather(*(client.post(PATH, json={"inputs": str(number)}) for number in range(8)))
        return [answer.status_code for answer in answers]

    wanted = [500 if number == 3 else 200 for number in range(8)]
    assert asked({"echo": Echo(fails)}, talk, Limits(wait_ms=50)) == wanted


def test_an_answer_that_is_no_number_is_no_answer():
    def nan(inputs, batch_size):
        return [[{"score": float("nan")}] for _ in inputs]

    echo = Echo()
    echo.__class__ = type("Nan", (Echo,), {"__call__": lambda self, *args, **kwargs: nan(*args, **kwargs)})
    assert post({"echo": echo}, PATH, {"inputs": "a"}).status_code == 500


def test_our_own_errors_of_arguments_are_the_clients(folders):
    body = {"inputs": QUESTION, "parameters": {"stride": 4000}}
    answer = post({"reader": open_model(str(folders["reader"]))}, "/models/reader/predict", body)
    assert answer.status_code == 422
    assert sentence(answer).startswith("stride must be at least 0 and less than the")


def test_other_paths_and_methods():
    async def talk(client):
        calls = [
            ("GET", "/nothing"),
            ("GET", PATH),
            ("POST", "/health"),
            ("GET", "/docs"),
            ("GET", "/redoc"),
            ("POST", "/models/other/predict"),
            ("GET", "/models/echo/predict/"),
            ("PATCH", PATH),
        ]
        return [await client.request(method, path) for method, path in calls]

    answers = asked({"echo": Echo()}, talk)
    assert [answer.status_code for answer in answers] == [404, 405, 405, 404, 404, 404, 404, 405]
    told = {404: "there is no such path; /openapi.json lists them", 405: "this path has another method"}
    assert [sentence(answer) for answer in answers] == [told[answer.status_code] for answer in answers]


def test_health_and_metrics():
    async def talk(client):
        answers = [await client.get("/health"), await client.get("/ready")]
        for body in ({"inputs": ["a", "b"]}, {"inputs": 1}):
            await client.post(PATH, json=body)
        await client.request("BREW", "/any/path")
        client._transport.app.state.models["two"].batcher.close()
        return [
            *answers,
            await client.get("/ready"),
            await client.post("/models/two/predict", json={"inputs": "a"}),
            await client.get("/health"),
            await client.get("/metrics"),
        ]

    lives, ready, not_ready, refused, still, figures = asked({"echo": Echo(), "two": Echo()}, talk)
    assert (lives.json(), still.status_code) == ({"status": "ok"}, 200)
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "models": {"echo": True, "two": True}})
    assert not_ready.status_code == 503
    assert not_ready.json() == {"status": "stopping", "models": {"echo": True, "two": False}}
    assert (refused.status_code, sentence(refused)) == (503, "the server is stopping; try another")
    assert figures.headers["content-type"].startswith("text/plain")
    lines = set(figures.text.splitlines())
    assert {
        f'hf_ext_requests_total{{method="POST",path="{PATH}",status="200"}} 1.0',
        f'hf_ext_requests_total{{method="POST",path="{PATH}",status="422"}} 1.0',
        'hf_ext_requests_total{method="other",path="unknown",status="404"} 1.0',
        'hf_ext_texts_total{model="echo"} 2.0',
        'hf_ext_batch_texts_sum{model="echo"} 2.0',
        'hf_ext_batch_seconds_count{model="echo"} 1.0',
        'hf_ext_waiting_texts{model="echo"} 0.0',
        f'hf_ext_request_seconds_count{{path="{PATH}"}} 2.0',
    } <= lines
    assert any(line.startswith("process_resident_memory_bytes") for line in lines)


def test_interface_says_what_models_read_and_take(folders):
    async def talk(client):
        return (await client.get("/openapi.json")).json()

    models = {name: open_model(str(folders[name])) for name in ("reader", "encoder")}
    told = asked(models | {"echo": Echo()}, talk)
    assert told["paths"].keys() == {
        "/health",
        "/ready",
        "/metrics",
        "/v1/models",
        "/v1/embeddings",
        "/models/reader/predict",
        PATH,
    }
    reader = json.dumps(told["paths"]["/models/reader/predict"])
    assert "reader gives answers for question and context" in reader
    assert str(folders["reader"]) not in json.dumps(told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"texts": 0}, "texts must be at least 1, got 0"),
        ({"wait_ms": -1.0}, "wait_ms must be at least 0, got -1.0"),
        ({"seconds": 0.0}, "seconds must be above 0, got 0.0"),
        ({"seconds": float("nan")}, "seconds must be at least 0, got nan"),
        ({"seconds": float("inf")}, "seconds must be at most 86400, got inf"),
        ({"wait_ms": float("inf")}, "wait_ms must be at most 86400000, got inf"),
        ({"wait_ms": 1e300}, r"wait_ms must be at most 86400000, got 1e\+300"),
        ({"wait_ms": float("nan")}, "wait_ms must be at least 0, got nan"),
        ({"waiting": float("inf")}, f"waiting must be at most {sys.maxsize}, got inf"),
        ({"waiting": 63}, "waiting must be at least the 64 texts of a request, got 63"),
    ],
)
def test_limits_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Limits(**options)


def test_the_longest_wait_is_one_that_clocks_take():
    longest = Limits(seconds=86_400, wait_ms=86_400_000, batch=2)
    model = ServedModel("echo", Echo(), longest)
    first = model.predict([{"text": "a"}], {})
    assert model.predict([{"text": "b"}], {}).result(30) == [{"texts": [{"text": "b"}]}]
    assert first.done()
    model.batcher.close()
    assert post({"echo": Echo()}, PATH, {"inputs": ["a", "b"]}, longest).status_code == 200


def test_a_served_model_says_what_it_is_for():
    model = ServedModel("echo", Echo())
    assert model.purpose == "echo gives texts for text"
    assert (model.predicts, model.embeds, model.completes) == (True, False, False)
    assert model.predict([{"text": "a"}], {}).result(30) == [{"texts": [{"text": "a"}]}]
    model.batcher.close()
