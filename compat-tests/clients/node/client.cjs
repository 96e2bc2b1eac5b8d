// The AWS SDK for JavaScript v3 with default settings, one scenario per run.
//
// CommonJS, so that NODE_PATH can point at the installed packages. A scenario makes its own bucket
// and throws when something differs. Endpoint, region and credentials come from the environment.
"use strict";

const assert = require("node:assert/strict");
const { createHash } = require("node:crypto");
const { Readable } = require("node:stream");
const S3 = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const MIB = 1024 * 1024;
let buckets = 0;

const client = (options = {}) => new S3.S3Client({ forcePathStyle: true, ...options });

// A client and a bucket that no other scenario uses.
async function begin() {
  const s3 = client();
  const Bucket = `${process.env.COMPAT_PREFIX}-${buckets++}`;
  await s3.send(new S3.CreateBucketCommand({ Bucket }));
  return { s3, Bucket };
}

// `length` bytes that only `seed` determines.
function payload(seed, length) {
  const blocks = [];
  for (let n = 0; n * 64 < length; n++) {
    blocks.push(createHash("sha512").update(`${seed}/${n}`).digest());
  }
  return Buffer.concat(blocks).subarray(0, length);
}

const etag = (data) => `"${createHash("md5").update(data).digest("hex")}"`;

async function read(s3, Bucket, Key, more = {}) {
  const got = await s3.send(new S3.GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from(await got.Body.transformToByteArray());
}

function same(actual, wanted, what) {
  assert.ok(Buffer.compare(actual, wanted) === 0, `${what}: ${actual.length} bytes differ`);
}

async function fails(name, promise) {
  try {
    await promise;
  } catch (error) {
    assert.equal(error.name, name, String(error));
    return error;
  }
  assert.fail(`succeeded, wanted ${name}`);
}

const scenarios = {
  async put_get_head_delete_roundtrip() {
    const { s3, Bucket } = await begin();
    for (const length of [0, 1, 65537, 9 * MIB + 7]) {
      const Body = payload(length, length);
      const where = { Bucket, Key: `dir/ü +${length}` };
      const described = { ContentType: "text/x", Metadata: { a: "1" } };
      const put = await s3.send(new S3.PutObjectCommand({ ...where, Body, ...described }));
      assert.equal(put.ETag, etag(Body));
      const head = await s3.send(new S3.HeadObjectCommand(where));
      assert.equal(head.ContentLength, length);
      assert.equal(head.ETag, etag(Body));
      assert.equal(head.ContentType, "text/x");
      assert.deepEqual(head.Metadata, { a: "1" });
      same(await read(s3, Bucket, where.Key), Body, where.Key);
      await s3.send(new S3.DeleteObjectCommand(where));
      await fails("NoSuchKey", read(s3, Bucket, where.Key));
      await fails("NotFound", s3.send(new S3.HeadObjectCommand(where)));
    }
  },

  async upload_helper_uses_multipart() {
    const { s3, Bucket } = await begin();
    const data = payload(1, 17 * MIB + 3);
    const upload = new Upload({
      client: s3,
      params: { Bucket, Key: "k", Body: data, Metadata: { a: "1" } },
      partSize: 5 * MIB,
      queueSize: 3,
    });
    const done = await upload.done();
    assert.match(done.ETag, /-4"$/);
    same(await read(s3, Bucket, "k"), data, "multipart");
    assert.equal((await s3.send(new S3.HeadObjectCommand({ Bucket, Key: "k" }))).Metadata.a, "1");
  },

  async upload_helper_streams() {
    const { s3, Bucket } = await begin();
    for (const length of [10, 12 * MIB]) {
      const data = payload(length, length);
      const slices = [];
      for (let at = 0; at < length; at += 100_000) slices.push(data.subarray(at, at + 100_000));
      const params = { Bucket, Key: `${length}`, Body: Readable.from(slices, { objectMode: false }) };
      await new Upload({ client: s3, params }).done();
      same(await read(s3, Bucket, `${length}`), data, `stream of ${length}`);
    }
  },

  async put_streams_with_a_trailing_checksum() {
    const { s3, Bucket } = await begin();
    const data = payload(3, 3 * MIB + 1);
    // S3 wants chunks of at least 8 KiB but for the last.
    const slices = [data.subarray(0, 65536), data.subarray(65536)];
    const Body = Readable.from(slices, { objectMode: false });
    const ContentLength = data.length;
    await s3.send(new S3.PutObjectCommand({ Bucket, Key: "k", Body, ContentLength }));
    same(await read(s3, Bucket, "k"), data, "stream");
    const where = { Bucket, Key: "k", ChecksumMode: "ENABLED" };
    const head = await s3.send(new S3.HeadObjectCommand(where));
    assert.ok(head.ChecksumCRC32, "the default checksum is stored");
  },

  async get_streams() {
    const { s3, Bucket } = await begin();
    const data = payload(4, 10 * MIB);
    await s3.send(new S3.PutObjectCommand({ Bucket, Key: "k", Body: data }));
    const got = await s3.send(new S3.GetObjectCommand({ Bucket, Key: "k" }));
    const slices = [];
    for await (const slice of got.Body) slices.push(slice);
    assert.ok(slices.length > 1, "the body arrives in slices");
    same(Buffer.concat(slices), data, "streamed");
    same(await read(s3, Bucket, "k", { Range: "bytes=5-104" }), data.subarray(5, 105), "range");
  },

  async pages_join_to_the_whole_listing() {
    const { s3, Bucket } = await begin();
    const keys = [];
    for (let n = 10; n < 33; n++) keys.push(`a/${n} +ü&<>`);
    for (const Key of [...keys, "b"]) {
      await s3.send(new S3.PutObjectCommand({ Bucket, Key, Body: "x" }));
    }
    const found = [];
    const pages = S3.paginateListObjectsV2({ client: s3, pageSize: 7 }, { Bucket, Prefix: "a/" });
    for await (const page of pages) found.push(...page.Contents.map((entry) => entry.Key));
    assert.deepEqual(found, keys);
    const rolled = await s3.send(new S3.ListObjectsV2Command({ Bucket, Delimiter: "/" }));
    assert.deepEqual(rolled.CommonPrefixes, [{ Prefix: "a/" }]);
    assert.deepEqual(rolled.Contents.map((entry) => entry.Key), ["b"]);
  },

  async presigned_requests() {
    const { s3, Bucket } = await begin();
    const data = payload(5, 70_000);
    const where = { Bucket, Key: "a b/ü" };
    const putUrl = await getSignedUrl(s3, new S3.PutObjectCommand(where), { expiresIn: 60 });
    const put = await fetch(putUrl, { method: "PUT", body: data });
    assert.equal(put.status, 200, await put.text());
    const getUrl = await getSignedUrl(s3, new S3.GetObjectCommand(where), { expiresIn: 60 });
    const got = await fetch(getUrl);
    assert.equal(got.status, 200);
    same(Buffer.from(await got.arrayBuffer()), data, "presigned");
  },

  async copies_and_deletes_many() {
    const { s3, Bucket } = await begin();
    const data = payload(6, 300_000);
    await s3.send(new S3.PutObjectCommand({ Bucket, Key: "source", Body: data }));
    const Objects = [];
    for (let n = 0; n < 5; n++) {
      const Key = `copy ${n}`;
      await s3.send(new S3.CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/source` }));
      same(await read(s3, Bucket, Key), data, Key);
      Objects.push({ Key });
    }
    const deleted = await s3.send(new S3.DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    assert.equal(deleted.Deleted.length, 5);
    assert.equal(deleted.Errors, undefined);
    const rest = await s3.send(new S3.ListObjectsV2Command({ Bucket }));
    assert.deepEqual(rest.Contents.map((entry) => entry.Key), ["source"]);
  },

  async conditional_writes() {
    const { s3, Bucket } = await begin();
    const write = (Body, condition) =>
      s3.send(new S3.PutObjectCommand({ Bucket, Key: "k", Body, ...condition }));
    await write("one", { IfNoneMatch: "*" });
    await fails("PreconditionFailed", write("two", { IfNoneMatch: "*" }));
    await fails("PreconditionFailed", write("two", { IfMatch: etag("other") }));
    await write("two", { IfMatch: etag("one") });
    same(await read(s3, Bucket, "k"), Buffer.from("two"), "body");
  },

  async every_checksum_algorithm() {
    const { s3, Bucket } = await begin();
    for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "SHA1", "SHA256"]) {
      const Body = payload(7, MIB + 1);
      const where = { Bucket, Key: ChecksumAlgorithm };
      const put = await s3.send(new S3.PutObjectCommand({ ...where, Body, ChecksumAlgorithm }));
      assert.ok(put[`Checksum${ChecksumAlgorithm}`], ChecksumAlgorithm);
      same(await read(s3, Bucket, where.Key), Body, ChecksumAlgorithm);
    }
  },

  async errors_are_typed() {
    const { s3, Bucket } = await begin();
    const none = `${Bucket}-none`;
    await fails("NoSuchBucket", s3.send(new S3.ListObjectsV2Command({ Bucket: none })));
    await fails("NotFound", s3.send(new S3.HeadBucketCommand({ Bucket: none })));
    const missing = await fails("NoSuchKey", read(s3, Bucket, "missing"));
    assert.ok(missing instanceof S3.NoSuchKey);
    assert.ok(missing.$metadata.requestId, "errors carry the request id");
    await s3.send(new S3.PutObjectCommand({ Bucket, Key: "k", Body: "x" }));
    await fails("BucketNotEmpty", s3.send(new S3.DeleteBucketCommand({ Bucket })));
  },

  async another_account_is_refused() {
    const { s3, Bucket } = await begin();
    await s3.send(new S3.PutObjectCommand({ Bucket, Key: "k", Body: "mine" }));
    const other = client({
      credentials: {
        accessKeyId: process.env.COMPAT_SECOND_ACCESS_KEY,
        secretAccessKey: process.env.COMPAT_SECOND_SECRET_KEY,
      },
    });
    await fails("AccessDenied", read(other, Bucket, "k"));
    const put = new S3.PutObjectCommand({ Bucket, Key: "k", Body: "theirs" });
    await fails("AccessDenied", other.send(put));
    same(await read(s3, Bucket, "k"), Buffer.from("mine"), "body");
  },
};

async function main(name) {
  if (name === "--list") {
    console.log(Object.keys(scenarios).join("\n"));
    return;
  }
  await scenarios[name]();
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
