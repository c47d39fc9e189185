"""A person and her garments, through the generated client: `make client`, `AURA_AUTH=on make serve`, and elsewhere

    PYTHONPATH=var/client python docs/people.py           # signs up, and leaves garments, a conversation and a rating
    PYTHONPATH=var/client python docs/people.py --again   # reads them all back, for example after everything was killed

It calls the services' own ports, or AURA_URL (a gateway), or AURA_ACCOUNTS_URL and so on.
"""

import argparse
import json
import os
from pathlib import Path

from aura_client import AuthenticatedClient, Client
from aura_client import models as bodies
from aura_client.api.accounts import add_feedback, add_from_photo, list_conversations, list_feedback

# isort: split
from aura_client.api.accounts import list_garments, list_messages, register, sign_out, token
from aura_client.api.outfit_recommendation import outfits
from aura_client.api.visual_analysis import analyze
from aura_client.types import File
from websockets.sync.client import connect

EMAIL, PASSWORD = "ada@example.org", "correct horse battery"
QUESTION = "Which shoes go with navy trousers?"
PORTS = {"accounts": 8004, "visual": 8000, "outfits": 8001, "chat": 8003}


def url(service: str) -> str:
    shared = os.environ.get("AURA_URL", f"http://127.0.0.1:{PORTS[service]}")
    return os.environ.get(f"AURA_{service.upper()}_URL", shared)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photo", type=Path, default="var/reports/sample/example.jpg", help="default: a drawn one")
    parser.add_argument("--threshold", type=float, help="of the detector; default: its own")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    if not options.again:
        register.sync(client=Client(url("accounts")), body=bodies.Registration(email=EMAIL, password=PASSWORD))
    tokens = token.sync(client=Client(url("accounts")), body=bodies.PasswordForm(username=EMAIL, password=PASSWORD))
    me, visual, outfit, _ = (AuthenticatedClient(url(name), tokens.access_token) for name in PORTS)
    if not options.again:
        photo = options.photo.read_bytes()
        body = bodies.AnalyzeBody(image=File(payload=photo, file_name=options.photo.name))
        found = analyze.sync(client=visual, body=body, threshold=options.threshold)
        if not found.garments:
            raise SystemExit(f"no garment is found in {options.photo}: lower --threshold, or take another photo")
        print("in the photo:", ", ".join(f"{garment.category} {garment.score:.2f}" for garment in found.garments))
        body = bodies.AddFromPhotoBody(
            image=File(payload=photo, file_name="photo"), analysis=json.dumps(found.to_dict())
        )
        add_from_photo.sync(client=me, body=body)
    garments = list_garments.sync(client=me).garments
    print("wardrobe:", ", ".join(f"{garment.title} ({garment.category})" for garment in garments))
    mine = [bodies.OutfitItemType1(wardrobe_id=str(garments[0].id))]
    wish = bodies.OutfitsRequest(items=mine, source=bodies.OutfitsRequestSource.BOTH, count=2)
    for whole in outfits.sync(client=outfit, body=wish).outfits:
        print(f"outfit {whole.score:.2f}:", ", ".join(piece.title for piece in whole.pieces))
    if not options.again:
        socket = f"{url('chat').replace('http', 'ws', 1)}/api/v1/conversational-ai/ws/chat"
        with connect(socket, proxy=None, additional_headers={"authorization": f"Bearer {tokens.access_token}"}) as talk:
            talk.send(json.dumps({"content": QUESTION}))
            frames = [frame := json.loads(talk.recv())]
            while frame["type"] not in ("done", "error"):
                frames.append(frame := json.loads(talk.recv()))
        answer = "".join(frame["text"] for frame in frames if frame["type"] == "token")
        print("stored by the chat:", frames[-1]["stored"], *frames[-1]["notes"])
        add_feedback.sync(client=me, body=bodies.AnswerRating("answer", bodies.AnswerRatingThumbs.UP, QUESTION, answer))
    for conversation in list_conversations.sync(client=me).conversations:
        for message in list_messages.sync(conversation.id, client=me).messages:
            print(f"{message.role}: {message.content}")
    print("rated:", ", ".join(f"{one.kind} {one.body['thumbs']}" for one in list_feedback.sync(client=me).feedback))
    sign_out.sync_detailed(client=me, body=bodies.SignOut())


if __name__ == "__main__":
    main()
