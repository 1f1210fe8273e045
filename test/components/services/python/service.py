"""Answers with its name and what the next service says. It forwards no header."""

import os

import flask
import requests

app = flask.Flask(__name__)


@app.get("/")
def answer():
    return "python -> " + requests.get(os.environ["NEXT"], timeout=30).text


app.run(host=os.environ["HOST"], port=int(os.environ["PORT"]), threaded=True)
