import json
import pathlib
import typing
import unittest

import dicom_qr_gateway

OPENAPI = pathlib.Path(__file__).parents[3] / "server/docs/openapi.json"  # openapi.yaml as JSON
SCHEMAS = json.loads(OPENAPI.read_text(encoding="utf-8"))["components"]["schemas"]

# Schemas of other routes than /q, /qr, /echo and the searches, and one without fields of its own.
OTHERS = {"Health", "Readiness", "Version", "PACSList", "NamedPACS", "DICOMObject"}
PYTHON = {"string": str, "integer": int, "number": float, "boolean": bool}


def name_of(schema):
    """Warning is a builtin of Python."""
    return "GatewayWarning" if schema == "Warning" else schema


def is_object(schema):
    return schema.get("type") == "object" or "allOf" in schema


def type_of(schema):
    """Returns the annotation that a schema needs."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return getattr(dicom_qr_gateway, name_of(name)) if is_object(SCHEMAS[name]) else type_of(SCHEMAS[name])
    if "allOf" in schema:
        kind = type_of(schema["allOf"][0])
    elif "enum" in schema:
        kind = typing.Literal[tuple(schema["enum"])]
    elif "type" not in schema:
        return object
    elif schema["type"] == "array":
        kind = list[type_of(schema["items"])]
    else:
        kind = PYTHON[schema["type"]]
    return typing.Optional[kind] if schema.get("nullable") else kind


def fields_of(schema):
    """Returns the annotations of an object, and the names of its required fields."""
    if "$ref" in schema:
        return fields_of(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    fields, required = {}, set(schema.get("required", []))
    for part in schema.get("allOf", []):
        more, needed = fields_of(part)
        fields |= more
        required |= needed
    fields |= {name: type_of(value) for name, value in schema.get("properties", {}).items()}
    return fields, required


class ContractTest(unittest.TestCase):
    def test_typed_dicts_have_the_fields_of_the_contract(self):
        checked = 0
        for name, schema in SCHEMAS.items():
            if not is_object(schema) or name in OTHERS:
                continue
            with self.subTest(name):
                kind = getattr(dicom_qr_gateway, name_of(name))
                fields, required = fields_of(schema)
                self.assertEqual(typing.get_type_hints(kind), fields)
                self.assertEqual(kind.__required_keys__, required)
                self.assertIn(name_of(name), dicom_qr_gateway.__all__)
                checked += 1
        self.assertGreater(checked, 14)

    def test_codes_are_those_of_the_contract(self):
        for name in ("ProblemCode", "WarningCode", "JobState", "JobItemState", "JobPriority"):
            self.assertEqual(list(typing.get_args(getattr(dicom_qr_gateway, name))), SCHEMAS[name]["enum"])
