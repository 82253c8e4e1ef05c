"""Make the bucket that compose.yaml names, unless it is there; run by its service `make-bucket`."""

import os

import boto3

environ = os.environ
client = boto3.client(
    "s3", endpoint_url=environ["AWS_ENDPOINT_URL"], region_name=environ["AWS_REGION"]
)
name = environ["S3_BUCKET"]
if name not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
    client.create_bucket(Bucket=name)
