"""Golden tests: python3 -m unittest discover gen

GOLDEN_WRITE=1 writes the expected files anew, for review. GOLDEN_CXX=clang++-19 also compiles them.
"""

import os
import subprocess
import tempfile
import unittest

import generate
import import_models
import model
import naming
import services_table

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
MODELS = os.path.join(os.path.dirname(GOLDEN), "..", "models")


def folders(parent):
    return sorted(name for name in os.listdir(parent) if os.path.exists(os.path.join(parent, name, "serves.txt")))


class Golden(unittest.TestCase):
    maxDiff = None

    def test_cases(self):
        for case in folders(GOLDEN):
            expected = os.path.join(GOLDEN, case, "expected")
            files = generate.generate(os.path.join(GOLDEN, case))
            if os.environ.get("GOLDEN_WRITE"):
                os.makedirs(expected, exist_ok=True)
                for name, text in files.items():
                    generate.write(os.path.join(expected, name), text)
            self.assertEqual(sorted(files), sorted(os.listdir(expected)), case)
            for name, text in files.items():
                with self.subTest(case=case, file=name), open(os.path.join(expected, name), encoding="utf-8") as file:
                    self.assertMultiLineEqual(file.read(), text)

    def test_parts_hold_every_shape_once(self):
        folder = os.path.join(GOLDEN, "json-shapes")
        whole = generate.generate(folder)["tables.cc"]
        parts = generate.generate(folder, 3)
        self.assertIn("tables_3.cc", parts)

        def definitions(text):
            return [line for line in text.splitlines() if line.startswith("constinit const wire::Shape")]

        split = [line for name in ("tables.cc", "tables_2.cc", "tables_3.cc") for line in definitions(parts[name])]
        self.assertEqual(definitions(whole), split)


    @unittest.skipUnless(os.environ.get("GOLDEN_CXX"), "GOLDEN_CXX names no compiler")
    def test_cases_compile(self):
        with tempfile.TemporaryDirectory() as out:
            for case in folders(GOLDEN):
                target = os.path.join(out, "aws", case)
                os.makedirs(target)
                for name, text in generate.generate(os.path.join(GOLDEN, case)).items():
                    generate.write(os.path.join(target, name), text)
                root = os.path.join(GOLDEN, "..", "..")
                command = [os.environ["GOLDEN_CXX"], "-std=c++23", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
                           "-Wno-missing-field-initializers", "-I" + os.path.join(root, "src"),
                           "-I" + os.path.join(root, "gen"), "-I" + out, os.path.join(target, "tables.cc")]
                with self.subTest(case=case):
                    done = subprocess.run(command, capture_output=True, text=True, check=False)
                    self.assertEqual(0, done.returncode, done.stderr)


class Models(unittest.TestCase):
    def test_every_served_model_generates(self):
        for name in folders(MODELS):
            with self.subTest(service=name):
                self.assertIn("kModel", generate.generate(os.path.join(MODELS, name))["tables.cc"])

    def test_serve_lists_have_no_duplicates(self):
        for name in folders(MODELS):
            serves = model.read_serves(os.path.join(MODELS, name, "serves.txt"))
            self.assertEqual(len(serves), len(set(serves)), name)

    def test_unknown_operation_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(GOLDEN, "query", "model.json"), encoding="utf-8") as source:
                generate.write(os.path.join(folder, "model.json"), source.read())
            generate.write(os.path.join(folder, "serves.txt"), "ListTags\nNoSuchOperation\n")
            with self.assertRaisesRegex(model.ModelError, "NoSuchOperation"):
                model.load(folder)

    def test_members_come_in_the_order_that_is_asked_for(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("model.json", '{"metadata": {}, "operations": {}, "shapes": {"S": {"members": {"A": {}, "B": {}, "C": {}}}}}'),
                               ("overrides.json", '{"order": {"S": ["C", "A"]}}')):
                generate.write(os.path.join(folder, name), text)
            self.assertEqual(list(model.read(folder)[0]["shapes"]["S"]["members"]), ["C", "A", "B"])


class Naming(unittest.TestCase):
    def test_members(self):
        for name, expected in {
                "SSEDescription": "sse_description", "SSEKMSKeyId": "sse_kms_key_id", "S3Key": "s3_key", "KMSKeyArn": "kms_key_arn", "ETag": "etag",
                "class": "class_", "MD5OfBody": "md5_of_body", "ContentMD5": "content_md5", "CodeSha256": "code_sha256",
                "ChecksumCRC32C": "checksum_crc32c", "IPv6CidrBlock": "ipv6_cidr_block", "LayerARNs": "layer_arns",
                "maxItems": "max_items", "x-amz-foo": "x_amz_foo", "AWSAccountIds": "aws_account_ids", "2xx": "_2_xx",
                "EC2TagFilters": "ec2_tag_filters", "IsIPV6Enabled": "is_ipv6_enabled", "ID": "id", "TTLs": "ttls"}.items():
            with self.subTest(name=name):
                self.assertEqual(expected, naming.snake(name))

    def test_enumerators(self):
        for value, expected in {"nodejs18.x": "nodejs18_x", "aws:kms": "aws_kms", "1.0": "_1_0", "default": "default_",
                                "": "EMPTY", "NULL": "NULL_", "s3:ObjectCreated:*": "s3_ObjectCreated_"}.items():
            with self.subTest(value=value):
                self.assertEqual(expected, naming.enumerator(value))


class Import(unittest.TestCase):
    def test_prose_is_left_out(self):
        slim = import_models.slim({
            "metadata": {"serviceId": "X", "uid": "x-1"},
            "operations": {"Do": {"name": "Do", "http": {"method": "POST", "requestUri": "/"}, "documentation": "prose",
                                  "errors": [{"shape": "Bad", "documentation": "prose"}], "authtype": "v4-unsigned-body"}},
            "shapes": {"S": {"type": "structure", "documentation": "prose",
                             "members": {"A": {"shape": "T", "documentation": "prose", "box": True}}}}}, "here")
        self.assertEqual({"serviceId": "X", "source": "here"}, slim["metadata"])
        self.assertEqual({"http": {"method": "POST", "requestUri": "/"}, "errors": ["Bad"]}, slim["operations"]["Do"])
        self.assertEqual({"type": "structure", "members": {"A": {"shape": "T"}}}, slim["shapes"]["S"])
        self.assertNotIn("prose", import_models.render(slim))


class Table(unittest.TestCase):
    def test_counts(self):
        table = services_table.table(GOLDEN)
        self.assertIn("| Golden (`json-shapes`) | 2 of 3 |", table)


if __name__ == "__main__":
    unittest.main()
