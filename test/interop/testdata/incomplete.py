# Retrieves each study of each endpoint with http.client and with client/python, and prints who reports success: JSON of the form
# {"client": {"endpoint": {"pacs": "" or the error}}}. Its argument is JSON: endpoints {name: URL}, studies {pacs: UID}, key, ca.
import collections
import concurrent.futures
import http.client
import json
import os
import ssl
import sys
import urllib.parse

sys.path.insert(0, os.environ["CLIENT"])
from dicom_qr_gateway import Gateway  # noqa: E402

job = json.loads(sys.argv[1])
context = ssl.create_default_context(cafile=job["ca"])


def by_http_client(url, pacs, study):
    address = urllib.parse.urlsplit(url)
    if address.scheme == "https":
        connection = http.client.HTTPSConnection(address.netloc, context=context)
    else:
        connection = http.client.HTTPConnection(address.netloc)
    connection.request("GET", f"/dicomweb/{pacs}/studies/{study}", headers={
        "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*', "Authorization": f"Bearer {job['key']}",
    })
    response = connection.getresponse()
    length = len(response.read())
    connection.close()
    if response.status != 200:
        raise ValueError(f"status {response.status}")
    if not length:
        raise ValueError("no byte")


def by_sdk(url, pacs, study, lenient=False):
    with Gateway(url, job["key"], ssl_context=context).retrieve_instances(pacs, study, lenient=lenient) as instances:
        for instance in instances:
            for _ in instance.pieces():
                pass


def attempt(call, *arguments):
    try:
        call(*arguments)
        return ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"


results = collections.defaultdict(lambda: collections.defaultdict(dict))
clients = {"http.client": by_http_client, "Python": by_sdk, "Python, lenient": lambda *a: by_sdk(*a, lenient=True)}
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    running = {
        pool.submit(attempt, call, url, pacs, study): (client, endpoint, pacs)
        for pacs, study in job["studies"].items()
        for endpoint, url in job["endpoints"].items()
        for client, call in clients.items()
    }
    for done, (client, endpoint, pacs) in running.items():
        results[client][endpoint][pacs] = done.result()
json.dump(results, sys.stdout)
