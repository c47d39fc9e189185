"""What a loaded model answers: order and padding do not matter, gaps are allowed, wrong requests are refused."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aura.errors import InvalidRequestError
from aura.taxonomy import CATEGORIES, Category
from inference.outfits.items import Item
from inference.outfits.model import OutfitModel, pad_members
from inference.outfits.picture_titles import titled
from tests.inference.outfits.conftest import CALIBRATION, garments, photo, term_pairs


def test_the_order_of_garments_does_not_matter(model: OutfitModel, outfit: list[Item]) -> None:
    orders = [list(order) for order in permutations(outfit)][::17]
    scores = model.score([outfit, *orders])
    np.testing.assert_allclose(scores, scores[0], atol=1e-5)
    queries = model.queries(orders, [Category.SCARVES] * len(orders))
    np.testing.assert_allclose(queries, np.tile(model.query(outfit, Category.SCARVES), (len(orders), 1)), atol=1e-5)


def test_padding_does_not_matter(model: OutfitModel) -> None:
    outfits = [garments(size, first=size) for size in (1, 2, 5, 12, 3)]
    targets = [Category.BAGS, Category.HATS, Category.SHOES, Category.TOPS, Category.LEGWEAR]
    together = model.score(outfits)
    alone = [model.score([outfit])[0] for outfit in outfits]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert all(0 < score < 1 for score in together)
    # The answers depend on the outfit, so that the comparisons above mean something.
    assert len({round(score, 4) for score in together}) == len(outfits)
    queries = np.stack([model.query(outfit, target) for outfit, target in zip(outfits, targets, strict=True)])
    np.testing.assert_allclose(model.queries(outfits, targets), queries, atol=1e-5)


def test_more_items_and_outfits_than_a_batch_keep_their_order(model: OutfitModel) -> None:
    items = garments(140)
    outfits = [[items[number % 140], items[(number * 7 + 1) % 140]] for number in range(300)]
    scores, queries = model.score(outfits), model.queries(outfits, [CATEGORIES[n % 12] for n in range(300)])
    embeddings = model.embed_items(items)
    assert len(scores) == len(queries) == 300
    for number in (0, 127, 128, 255, 256, 299):
        assert scores[number] == pytest.approx(model.score([outfits[number]])[0], abs=1e-5)
        np.testing.assert_allclose(queries[number], model.query(outfits[number], CATEGORIES[number % 12]), atol=1e-5)
    for number in (0, 127, 128, 139):
        np.testing.assert_allclose(embeddings[number], model.embed_items([items[number]])[0], atol=1e-5)


def test_what_is_seen_of_a_garment_changes_the_answer(model: OutfitModel) -> None:
    rest = garments(2)
    shown = photo(9)
    seen = [
        Item("x", Category.SHOES, "red boots", image=shown),
        Item("x", Category.SHOES, "", image=shown),
        Item("x", Category.SHOES, "red boots"),
        Item("x", Category.SHOES),
        Item("x", Category.BAGS),
    ]
    scores = model.score([[*rest, item] for item in seen])
    assert len({round(score, 5) for score in scores}) == len(seen)


def test_a_garment_without_a_title_is_called_by_its_picture(model: OutfitModel) -> None:
    plain = Image.new("RGB", (40, 40), "white")
    plain.paste((200, 30, 40), (6, 6, 34, 34))
    untitled = Item("x", Category.TOPS, image=plain)
    assert titled(untitled).title == "Red top"
    rest = garments(2)
    assert model.score([[*rest, untitled]]) == model.score([[*rest, titled(untitled)]])
    # A caller's title weighs otherwise than the same words from a picture.
    assert model.score([[*rest, untitled]]) != model.score([[*rest, replace(untitled, title="Red top")]])


def test_a_score_weighs_the_network_and_what_words_and_categories_say(model: OutfitModel) -> None:
    items = [
        Item("a", Category.TOPS, "Red shirt"), Item("b", Category.BOTTOMS, "jeans"), Item("c", Category.TOPS, "velvet"),
        Item("d", Category.SHOES, image=photo(3)),
    ]  # fmt: skip
    encoded, pairs = model.encode(items), term_pairs()
    outfits = [[0, 1], [0, 2], [1], [0, 3], [0, 1, 2, 3]]
    evidence, titled_share, garments = model.evidence(encoded, outfits)
    network, words, categories = evidence.T.tolist()
    red, shirt, jeans = (pairs.vocabulary.index(word) for word in ("red", "shirt", "jeans"))
    # A word that was never worn says nothing, and neither does a garment alone.
    expected = float(pairs.words[red, jeans] + pairs.words[shirt, jeans]) / 2
    np.testing.assert_allclose(words[:3], [expected, 0, 0], atol=1e-6)
    np.testing.assert_allclose(
        categories[:2], [float(pairs.categories[0, 1]), float(pairs.categories[0, 0])], atol=1e-6
    )
    assert titled_share.tolist() == [1, 1, 1, 0.5, 0.75]
    assert garments.tolist() == [2, 2, 1, 2, 4]
    # Of CALIBRATION; four garments lie half way between few and many.
    few = np.array([1, 1, 1, 1, 0.5])
    titled_logits, untitled_logits = (
        np.array([weights.intercept + weights.network * a + weights.words * b + weights.categories * c
                  for a, b, c in zip(network, words, categories, strict=True)])
        * (few * weights.few_slope + (1 - few) * weights.many_slope)
        + few * weights.few_shift + (1 - few) * weights.many_shift
        for weights in (CALIBRATION.titled, CALIBRATION.untitled)
    )  # fmt: skip
    share = np.array([1, 1, 1, 0.5, 0.75])
    logits = share * titled_logits + (1 - share) * untitled_logits
    np.testing.assert_allclose(model.score_encoded(encoded, outfits), 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_name_and_attributes_of_a_garment_are_not_looked_at(model: OutfitModel) -> None:
    shown = photo(9)
    plain = Item("a", Category.SHOES, "red boots", image=shown)
    named = Item("b", Category.SHOES, "  red \n boots ", {"colour": "red"}, shown)
    np.testing.assert_array_equal(*model.embed_items([plain, named]))


def test_a_garment_may_be_worn_twice_and_be_shared_by_outfits(model: OutfitModel, outfit: list[Item]) -> None:
    twice = [outfit[0], outfit[0], outfit[1]]
    copies = [Item("c", outfit[0].category, outfit[0].title, image=outfit[0].image), *outfit[:2]]
    first, second, third = model.score([twice, copies, outfit[:2]])
    assert first == pytest.approx(second, abs=1e-6)
    assert first != pytest.approx(third, abs=1e-5)


def test_garments_encoded_once_answer_as_garments_sent_along(model: OutfitModel, outfit: list[Item]) -> None:
    items = [*outfit, *garments(4)]
    outfits, targets = [[0, 1, 2], [8, 3], [4], [0, 0, 7, 6, 5]], [*CATEGORIES[:3], Category.BAGS]
    vectors = model.encode(items)
    sent = [[items[row] for row in rows] for rows in outfits]
    np.testing.assert_allclose(model.score_encoded(vectors, outfits), model.score(sent), rtol=0, atol=1e-6)
    queries = model.queries_encoded(vectors, outfits, targets)
    np.testing.assert_allclose(queries, model.queries(sent, targets), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(model.embed_encoded(vectors), model.embed_items(items))
    rows = [6, 2, 2]
    np.testing.assert_allclose(
        model.embed_encoded(vectors.take(rows)), model.embed_items([items[row] for row in rows]), rtol=0, atol=1e-6
    )


def test_garments_are_taken_as_they_are_encoded(model: OutfitModel) -> None:
    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0

    def opened() -> Iterator[Item]:
        nonlocal most
        for number in range(500):
            item = garments(1, first=number)[0]
            alive.add(item)
            most = max(most, len(alive))
            yield item

    vectors = model.encode(opened())
    assert len(vectors) == 500
    # One batch of 128 is read while the next is opened.
    assert most <= 260
    np.testing.assert_allclose(
        model.embed_encoded(vectors)[[0, 130, 499]],
        model.embed_items([garments(1, first=number)[0] for number in (0, 130, 499)]),
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize("count", [0, 13])
def test_too_few_and_too_many_garments_are_refused(model: OutfitModel, count: int) -> None:
    wrong = garments(count)
    vectors = model.encode(garments(13))
    for call in (
        lambda: model.score([garments(2), wrong]),
        lambda: model.judge([wrong]),
        lambda: model.query(wrong, Category.BAGS),
        lambda: model.queries([garments(2), wrong], [Category.BAGS, Category.HATS]),
        lambda: model.rank(wrong, Category.BAGS, garments(2)),
        lambda: model.score_encoded(vectors, [[0, 1], list(range(count))]),
        lambda: model.queries_encoded(vectors, [[0, 1], list(range(count))], [Category.BAGS, Category.HATS]),
    ):
        with pytest.raises(InvalidRequestError, match=f"{count} items; allowed are 1 to 12"):
            call()


def test_nothing_asked_is_nothing_answered(model: OutfitModel, outfit: list[Item]) -> None:
    assert model.score([]) == []
    assert model.embed_items([]).shape == (0, model.embedding_dim)
    assert model.embed_items([]).dtype == np.float32
    assert model.queries([], []).shape == (0, model.embedding_dim)
    assert model.rank(outfit, Category.SCARVES, []) == []


def test_queries_need_a_target_each(model: OutfitModel, outfit: list[Item]) -> None:
    with pytest.raises(ValueError, match="2 outfits but 1 target"):
        model.queries([outfit, outfit], [Category.BAGS])


def test_embeddings_and_queries_have_norm_one(model: OutfitModel, outfit: list[Item]) -> None:
    embeddings = model.embed_items([*garments(30), *outfit])
    queries = model.queries([outfit] * 12, CATEGORIES)
    for vectors, count in ((embeddings, 35), (queries, 12)):
        assert vectors.shape == (count, model.embedding_dim)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len(np.unique(queries.round(4), axis=0)) == 12


def test_candidates_are_ranked_by_cosine_and_equal_ones_stay_in_order(model: OutfitModel, outfit: list[Item]) -> None:
    candidates = garments(9)
    candidates += candidates[3:5]
    ranked = model.rank(outfit, Category.BAGS, candidates)
    query, embeddings = model.query(outfit, Category.BAGS), model.embed_items(candidates)
    cosine = {
        index: float(query @ embedding / np.linalg.norm(query) / np.linalg.norm(embedding))
        for index, embedding in enumerate(embeddings)
    }
    assert sorted(index for index, _ in ranked) == list(range(11))
    for index, similarity in ranked:
        assert similarity == pytest.approx(cosine[index], abs=1e-5)
        assert -1 - 1e-6 <= similarity <= 1 + 1e-6
    order = [index for index, _ in ranked]
    assert [similarity for _, similarity in ranked] == sorted((s for _, s in ranked), reverse=True)
    assert order.index(9) == order.index(3) + 1
    assert order.index(10) == order.index(4) + 1
    assert len({round(similarity, 5) for _, similarity in ranked}) == 9


def test_a_contribution_is_the_score_less_the_score_without_it(
    model: OutfitModel, outfit: list[Item], without: Callable[[list[Item], int], list[Item]]
) -> None:
    (whole,) = model.score([outfit])
    expected = [whole - model.score([without(outfit, place)])[0] for place in range(len(outfit))]
    [(score, contributions), single, again] = model.judge([outfit, outfit[:1], outfit])
    np.testing.assert_allclose(contributions, expected, atol=1e-5)
    assert max(map(abs, expected)) > 1e-3
    assert score == pytest.approx(whole, abs=1e-5)
    assert single == (pytest.approx(model.score([outfit[:1]])[0], abs=1e-5), [0.0])
    assert again == (pytest.approx(score), pytest.approx(contributions)), "outfits of one batch do not touch each other"


def test_an_item_with_its_vector_is_the_item_itself_and_nothing_is_read_of_it(
    model: OutfitModel, outfit: list[Item]
) -> None:
    expected = model.judge([outfit]), model.query(outfit, Category.BAGS), model.embed_items(outfit)
    known = [replace(item, image=None) for item in model.with_vectors(outfit)]
    np.testing.assert_allclose(model.judge([known])[0][1], expected[0][0][1], atol=1e-5)
    np.testing.assert_allclose(model.query(known, Category.BAGS), expected[1], atol=1e-5)
    np.testing.assert_allclose(model.embed_items(known), expected[2], atol=1e-5)
    np.testing.assert_allclose(model.embed_vectors(model.item_vectors(known)), expected[2], atol=1e-5)
    mixed = [known[0], *outfit[1:]]
    np.testing.assert_allclose(model.judge([mixed])[0][1], expected[0][0][1], atol=1e-5)


def test_threads_get_the_answers_of_one_caller(model: OutfitModel) -> None:
    outfits = [garments(3, first=3 * number) for number in range(6)]
    expected = [model.score([outfit])[0] for outfit in outfits]
    answers: dict[int, list[float]] = {}

    def score(number: int) -> None:
        answers[number] = [model.score([outfits[number]])[0] for _ in range(3)]

    threads = [threading.Thread(target=score, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[number] for number in range(6)] == [[pytest.approx(value, abs=1e-6)] * 3 for value in expected]


def test_a_saved_model_gives_the_same_answers(model: OutfitModel, saved: Path, outfit: list[Item]) -> None:
    loaded = OutfitModel.load(saved)
    assert loaded.embedding_dim == model.embedding_dim == 8
    # A text's vector differs in its last bits by the texts that it was embedded with, and is kept.
    np.testing.assert_allclose(loaded.score([outfit, garments(4)]), model.score([outfit, garments(4)]), atol=1e-6)
    np.testing.assert_allclose(loaded.embed_items(outfit), model.embed_items(outfit), atol=1e-6)
    np.testing.assert_allclose(loaded.query(outfit, Category.BAGS), model.query(outfit, Category.BAGS), atol=1e-6)


def test_ragged_outfits_are_padded_on_the_right() -> None:
    members, present = pad_members([[3], [1, 2, 5]])
    assert members.tolist() == [[3, 0, 0], [1, 2, 5]]
    assert present.tolist() == [[True, False, False], [True, True, True]]
