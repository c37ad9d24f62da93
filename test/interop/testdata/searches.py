"""Searches by QIDO-RS with Odil, and reads the answers with Odil and with pydicom.

Arguments: the URL of a PACS below /dicomweb/, and the searches as JSON: a list of objects with the members selector, keys (values by
keyword), include (keywords), limit and offset. Prints a JSON list with, for each search, what each of the two read: a list of objects
with the values of the keys and the included attributes as text.
"""

import json
import sys
import urllib.request

import odil
import pydicom
from odil import webservices


def texts(values):
    return [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values]


def read_with_odil(response, names):
    sets = webservices.QIDORSResponse(response).get_data_sets()
    tags = {name: getattr(odil.registry, name) for name in names}
    found = []
    for data_set in sets:
        match = {}
        for name, tag in tags.items():
            if not data_set.has(tag) or data_set.empty(tag):
                match[name] = []
            elif data_set.is_string(tag):
                match[name] = texts(data_set.as_string(tag))
            elif data_set.is_int(tag):
                match[name] = texts(data_set.as_int(tag))
            else:
                raise TypeError(name)
        found.append(match)
    return found


def read_with_pydicom(body, names):
    found = []
    for item in json.loads(body):
        data_set = pydicom.Dataset.from_json(item)
        match = {}
        for name in names:
            element = data_set.get_item(pydicom.datadict.tag_for_keyword(name))
            value = None if element is None else element.value
            if value is None or value == "":
                match[name] = []
            else:
                match[name] = texts(value if isinstance(value, pydicom.multival.MultiValue) else [value])
        found.append(match)
    return found


def search(url, selector, keys, include, limit=-1, offset=0):
    query = odil.DataSet()
    for name, value in keys.items():
        query.add(getattr(odil.registry, name), [value])
    for name in include:
        query.add(getattr(odil.registry, name))
    request = webservices.QIDORSRequest(webservices.URL.parse(url))
    request.request_datasets(
        webservices.Utils.Representation.DICOM_JSON, webservices.Selector(selector), query, False, limit, offset
    )
    http = request.get_http_request()
    with urllib.request.urlopen(
        urllib.request.Request(str(http.get_target()), method=http.get_method(), headers=dict(http.get_headers()))
    ) as answer:
        body = answer.read().decode("utf-8")
        response = webservices.HTTPResponse(
            "HTTP/1.1", answer.status, answer.reason, {"Content-Type": answer.headers["Content-Type"]}, body
        )
    names = [*keys, *include]
    return {"odil": read_with_odil(response, names), "pydicom": read_with_pydicom(body, names)}


json.dump([search(sys.argv[1], **one) for one in json.loads(sys.argv[2])], sys.stdout)
