// Chromium, one scenario per run: what pages, forms and visitors of websites meet.
//
// CommonJS, so that NODE_PATH can point at the installed packages. A scenario makes its own bucket
// and throws when something differs. Endpoint, region and credentials come from the environment,
// and so does COMPAT_WEBSITE, the port on which buckets are websites under `localhost`.
// COMPAT_SCREENSHOTS names a folder for what was seen.
"use strict";

const assert = require("node:assert/strict");
const { createHmac } = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const S3 = require("@aws-sdk/client-s3");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");
const { chromium } = require("playwright-core");

// Only what the tests ask for: no updates, no telemetry, no other protocol.
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const bucketName = () => `${process.env.COMPAT_PREFIX}-0`;

const s3 = new S3.S3Client({ forcePathStyle: true, requestChecksumCalculation: "WHEN_REQUIRED" });

async function begin() {
  const Bucket = bucketName();
  await s3.send(new S3.CreateBucketCommand({ Bucket }));
  return Bucket;
}

async function openToEveryone(Bucket) {
  const Policy = JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      { Effect: "Allow", Principal: "*", Action: "s3:GetObject", Resource: `arn:aws:s3:::${Bucket}/*` },
      { Effect: "Allow", Principal: "*", Action: "s3:ListBucket", Resource: `arn:aws:s3:::${Bucket}` },
    ],
  });
  await s3.send(new S3.PutBucketPolicyCommand({ Bucket, Policy }));
}

const store = (Bucket, Key, Body, ContentType = "text/html; charset=utf-8") =>
  s3.send(new S3.PutObjectCommand({ Bucket, Key, Body, ContentType }));

// A server of another origin that answers every path with `html`.
async function otherOrigin(html) {
  const server = http.createServer((_, response) => {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    response.end(html);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

// A fresh Chromium with one page. `preflights` fills with what it asked before it sent requests.
async function withBrowser(use) {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.COMPAT_CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: FLAGS,
  });
  try {
    const page = await context.newPage();
    const session = await context.newCDPSession(page);
    const preflights = [];
    session.on("Network.requestWillBeSent", ({ request }) => {
      if (request.method === "OPTIONS") preflights.push(request);
    });
    await session.send("Network.enable");
    await use(page, preflights);
  } finally {
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
}

async function look(page, name) {
  const folder = process.env.COMPAT_SCREENSHOTS;
  if (folder) await page.screenshot({ path: path.join(folder, `${name}.png`) });
}

// What a script of the page gets: status, text and headers it may read, or that it gets nothing.
const fetchIn = (page, url, options = {}) =>
  page.evaluate(
    async ([url, options]) => {
      try {
        const response = await fetch(url, options);
        const headers = Object.fromEntries(response.headers);
        return { status: response.status, text: await response.text(), headers };
      } catch (error) {
        return { error: error.name };
      }
    },
    [url, options],
  );

const hmac = (key, text) => createHmac("sha256", key).update(text).digest();

// The fields of a form that may upload one object, signed.
function signedForm(Bucket, key, more) {
  const now = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const day = now.slice(0, 8);
  const region = process.env.AWS_REGION;
  const fields = {
    key,
    ...more,
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-credential": `${process.env.AWS_ACCESS_KEY_ID}/${day}/${region}/s3/aws4_request`,
    "x-amz-date": now,
  };
  const conditions = [{ bucket: Bucket }, ["content-length-range", 1, 1000]];
  for (const [name, value] of Object.entries(fields)) conditions.push(["eq", `$${name}`, value]);
  const expiration = new Date(Date.now() + 600_000).toISOString();
  const policy = Buffer.from(JSON.stringify({ expiration, conditions })).toString("base64");
  const secret = `AWS4${process.env.AWS_SECRET_ACCESS_KEY}`;
  const signing = [day, region, "s3", "aws4_request"].reduce(hmac, secret);
  return { ...fields, policy, "x-amz-signature": hmac(signing, policy).toString("hex") };
}

const website = (Bucket) => `http://${Bucket}.localhost:${process.env.COMPAT_WEBSITE}`;

const scenarios = {
  async pages_of_an_allowed_origin_read_and_write() {
    const Bucket = await begin();
    const { origin, close } = await otherOrigin("<title>another origin</title>");
    const CORSRules = [
      {
        AllowedOrigins: [origin],
        AllowedMethods: ["GET", "PUT"],
        AllowedHeaders: ["content-type", "x-amz-meta-*"],
        ExposeHeaders: ["ETag"],
        MaxAgeSeconds: 0,
      },
    ];
    await s3.send(new S3.PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } }));
    const target = { Bucket, Key: "from a page/é" };
    const put = new S3.PutObjectCommand({ ...target, Metadata: { colour: "blue" } });
    const unhoistableHeaders = new Set(["x-amz-meta-colour"]);
    const putUrl = await getSignedUrl(s3, put, { unhoistableHeaders });
    const getUrl = await getSignedUrl(s3, new S3.GetObjectCommand(target));
    const missing = new S3.GetObjectCommand({ Bucket, Key: "nosuch" });
    const missingUrl = await getSignedUrl(s3, missing);
    const deleteUrl = await getSignedUrl(s3, new S3.DeleteObjectCommand(target));
    await withBrowser(async (page, preflights) => {
      await page.goto(origin);
      const headers = { "content-type": "text/plain", "x-amz-meta-colour": "blue" };
      const stored = await fetchIn(page, putUrl, { method: "PUT", headers, body: "written" });
      assert.equal(stored.status, 200, JSON.stringify(stored));
      assert.match(stored.headers.etag, /^"[0-9a-f]{32}"$/);
      assert.equal(stored.headers["x-amz-id-2"], undefined, "it is not exposed");
      assert.equal(preflights.length, 1);
      assert.equal(preflights[0].method, "OPTIONS");
      assert.equal(preflights[0].headers["Access-Control-Request-Method"], "PUT");
      assert.equal(preflights[0].headers["Access-Control-Request-Headers"], "x-amz-meta-colour");
      const got = await fetchIn(page, getUrl);
      assert.deepEqual([got.status, got.text], [200, "written"]);
      assert.equal((await fetchIn(page, missingUrl)).status, 404, "errors are readable, too");
      assert.equal((await fetchIn(page, deleteUrl, { method: "DELETE" })).error, "TypeError");
      assert.equal(preflights.length, 2);
    });
    const head = await s3.send(new S3.HeadObjectCommand(target));
    assert.deepEqual([head.Metadata, head.ContentType], [{ colour: "blue" }, "text/plain"]);
    close();
  },

  async pages_of_other_origins_get_nothing() {
    const Bucket = await begin();
    const { origin, close } = await otherOrigin("<title>another origin</title>");
    await store(Bucket, "k", "data");
    const url = await getSignedUrl(s3, new S3.GetObjectCommand({ Bucket, Key: "k" }));
    await withBrowser(async (page) => {
      await page.goto(origin);
      assert.equal((await fetchIn(page, url)).error, "TypeError");
      const AllowedOrigins = ["http://elsewhere.test"];
      const CORSRules = [{ AllowedOrigins, AllowedMethods: ["GET"] }];
      await s3.send(new S3.PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } }));
      assert.equal((await fetchIn(page, url)).error, "TypeError");
      CORSRules[0].AllowedOrigins = ["*"];
      await s3.send(new S3.PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } }));
      assert.equal((await fetchIn(page, url)).text, "data");
      // A page that sends cookies needs its origin to be named.
      const credentials = await fetchIn(page, url, { credentials: "include" });
      assert.equal(credentials.error, "TypeError");
    });
    close();
  },

  async form_with_a_policy_uploads_a_file() {
    const Bucket = await begin();
    await openToEveryone(Bucket);
    const WebsiteConfiguration = { IndexDocument: { Suffix: "index.html" } };
    await s3.send(new S3.PutBucketWebsiteCommand({ Bucket, WebsiteConfiguration }));
    await store(Bucket, "thanks.html", "<h1>Thank you</h1>");
    const thanks = `${website(Bucket)}/thanks.html`;
    const more = { "Content-Type": "text/plain", success_action_redirect: thanks };
    const fields = signedForm(Bucket, "up/loaded.txt", more);
    const inputs = Object.entries(fields).map(
      ([name, value]) => `<input type="hidden" name="${name}" value="${value}">`,
    );
    const html = `<form method="post" enctype="multipart/form-data"
      action="${process.env.AWS_ENDPOINT_URL}/${Bucket}">${inputs.join("")}
      <input type="file" name="file"><button>Upload</button></form>`;
    const { origin, close } = await otherOrigin(html);
    const upload = async (page, text) => {
      await page.goto(origin);
      const file = { name: "a.txt", mimeType: "text/plain", buffer: Buffer.from(text) };
      await page.locator("input[type=file]").setInputFiles(file);
      const [answer] = await Promise.all([page.waitForNavigation(), page.click("button")]);
      return answer;
    };
    await withBrowser(async (page) => {
      const answer = await upload(page, "from a form");
      assert.equal(answer.status(), 200);
      assert.ok(page.url().startsWith(`${thanks}?`), page.url());
      const query = new URL(page.url()).searchParams;
      assert.deepEqual([query.get("bucket"), query.get("key")], [Bucket, "up/loaded.txt"]);
      assert.equal(await page.textContent("h1"), "Thank you");
      await look(page, "form");
      const refused = await upload(page, "x".repeat(1001));
      assert.equal(refused.status(), 400);
      assert.match(await refused.text(), /<Code>EntityTooLarge<\/Code>/);
    });
    const got = await s3.send(new S3.GetObjectCommand({ Bucket, Key: "up/loaded.txt" }));
    assert.equal(await got.Body.transformToString(), "from a form");
    close();
  },

  async website_shows_pages_links_and_errors() {
    const Bucket = await begin();
    await openToEveryone(Bucket);
    await store(
      Bucket,
      "index.html",
      `<link rel="stylesheet" href="style.css"><h1>Home</h1>
       <a id="about" href="about/">About</a> <a id="lost" href="lost">Lost</a>`,
    );
    await store(Bucket, "style.css", "h1 { color: rgb(1, 2, 3) }", "text/css");
    await store(Bucket, "about/index.html", '<h1>About</h1><a href="../">Home</a>');
    await store(Bucket, "error.html", "<h1>Not here</h1>");
    const WebsiteRedirectLocation = "/about/";
    const Key = "short";
    await s3.send(new S3.PutObjectCommand({ Bucket, Key, Body: "", WebsiteRedirectLocation }));
    const WebsiteConfiguration = {
      IndexDocument: { Suffix: "index.html" },
      ErrorDocument: { Key: "error.html" },
      RoutingRules: [
        { Condition: { KeyPrefixEquals: "old/" }, Redirect: { ReplaceKeyPrefixWith: "about/" } },
      ],
    };
    await s3.send(new S3.PutBucketWebsiteCommand({ Bucket, WebsiteConfiguration }));
    const at = website(Bucket);
    await withBrowser(async (page) => {
      const seen = async (url, status, title, end) => {
        const answer = await page.goto(at + url);
        assert.deepEqual([answer.status(), await page.textContent("h1")], [status, title], url);
        assert.equal(page.url(), at + end);
      };
      await seen("/", 200, "Home", "/");
      const style = await page.$eval("h1", (h1) => getComputedStyle(h1).color);
      assert.equal(style, "rgb(1, 2, 3)");
      await look(page, "index");
      await page.click("#about");
      await page.waitForURL(`${at}/about/`);
      assert.equal(await page.textContent("h1"), "About");
      await page.click("a");
      await page.waitForURL(`${at}/`);
      await seen("/about", 200, "About", "/about/");
      await seen("/old/", 200, "About", "/about/");
      await seen("/short", 200, "About", "/about/");
      await seen("/lost", 404, "Not here", "/lost");
      await look(page, "error");
      await s3.send(new S3.DeleteObjectCommand({ Bucket, Key: "error.html" }));
      await seen("/lost", 404, "404 Not Found", "/lost");
      assert.match(await page.textContent("body"), /Code: NoSuchKey.*Custom Error Document/s);
      await look(page, "error-without-document");
      await s3.send(new S3.DeleteBucketPolicyCommand({ Bucket }));
      await seen("/", 403, "403 Forbidden", "/");
    });
  },
};

async function main(name) {
  if (name === "--list") {
    console.log(Object.keys(scenarios).join("\n"));
    return;
  }
  assert.ok(name in scenarios, `no scenario ${name}`);
  await scenarios[name]();
}

main(process.argv[2]).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
