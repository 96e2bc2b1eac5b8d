//! aws-cli: the file commands of `aws s3` and the calls of `aws s3api`.

use std::fs;
use std::path::{Path, PathBuf};

use compat_tests::clients::{aws_environment, installed};
use compat_tests::encoding::{Checksum, etag};
use compat_tests::payload;
use compat_tests::program::Program;
use compat_tests::server::{Credentials, Server};
use compat_tests::tree;
use compat_tests::wire::Wire;

const MIB: usize = 1024 * 1024;

/// The program, a bucket and a directory of one test.
pub(crate) struct Aws {
    pub(crate) server: Server,
    pub(crate) bucket: String,
    pub(crate) dir: PathBuf,
}

impl Aws {
    pub(crate) fn new() -> Self {
        let server = crate::shared();
        let bucket = server.new_bucket("aws-cli");
        let dir = server.work_dir();
        Self { server, bucket, dir }
    }

    pub(crate) fn program(&self) -> Program {
        self.program_as(self.server.root())
    }

    fn program_as(&self, credentials: &Credentials) -> Program {
        let program = Program::new(installed("python", "python/bin/aws"), &self.server.home_dir());
        aws_environment(program, &self.server, credentials)
            .env("AWS_PAGER", "")
            .current_dir(&self.dir)
    }

    /// `aws s3 …`
    fn s3(&self, arguments: &[&str]) -> Program {
        self.program().arg("s3").args(arguments)
    }

    /// `aws s3api OPERATION --bucket BUCKET …`
    pub(crate) fn api(&self, operation: &str, arguments: &[&str]) -> Program {
        self.program().args(["s3api", operation, "--bucket", &self.bucket]).args(arguments)
    }

    fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    fn file(&self, name: &str, seed: u64, len: usize) -> Vec<u8> {
        let data = payload::bytes(seed, len).to_vec();
        fs::write(self.dir.join(name), &data).expect("the work directory is writable");
        data
    }

    fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        fs::read(self.dir.join(name)).expect("the client wrote the file")
    }

    fn keys(&self) -> Vec<String> {
        let listed = self.api("list-objects-v2", &["--query", "Contents[].Key"]).succeed();
        match listed.json() {
            serde_json::Value::Array(keys) => {
                keys.iter().map(|key| key.as_str().unwrap_or_default().to_owned()).collect()
            }
            _ => Vec::new(),
        }
    }
}

#[test]
fn cp_copies_up_and_down() {
    let aws = Aws::new();
    for (seed, len) in [(1, 0), (2, 100), (3, 20 * MIB + 1)] {
        let data = aws.file("up", seed, len);
        let _ = aws.s3(&["cp", "up", &aws.url("dir/ö b"), "--metadata", "a=1"]).succeed();
        let _ = aws.s3(&["cp", &aws.url("dir/ö b"), "down"]).succeed();
        assert!(aws.read("down") == data, "{len} bytes differ");
    }
    let head = aws.api("head-object", &["--key", "dir/ö b"]).succeed().json();
    assert_eq!(head["Metadata"]["a"], "1");
    assert!(head["ETag"].as_str().is_some_and(|tag| tag.ends_with("-3\"")), "multipart: {head}");
}

#[test]
fn cp_streams_from_and_to_a_pipe() {
    let aws = Aws::new();
    let data = payload::bytes(4, 9 * MIB + 3).to_vec();
    let _ = aws.s3(&["cp", "-", &aws.url("piped")]).input(data.clone()).succeed();
    let output = aws.s3(&["cp", &aws.url("piped"), "-"]).succeed();
    assert!(output.stdout == data, "the stream differs");
}

#[test]
fn cp_copies_on_the_server() {
    let aws = Aws::new();
    // The larger one is copied part by part.
    for (seed, len) in [(5, 3000), (6, 9 * MIB)] {
        let data = aws.file("up", seed, len);
        let _ = aws.s3(&["cp", "up", &aws.url("one"), "--content-type", "text/x"]).succeed();
        let _ = aws.s3(&["cp", &aws.url("one"), &aws.url("two")]).succeed();
        let _ = aws.s3(&["cp", &aws.url("two"), "down"]).succeed();
        assert!(aws.read("down") == data, "the copy of {len} bytes differs");
        let head = aws.api("head-object", &["--key", "one"]).succeed().json();
        assert_eq!(head["ContentType"], "text/x");
    }
}

#[test]
fn ls_shows_keys_sizes_and_prefixes() {
    let aws = Aws::new();
    aws.file("ten", 6, 10);
    for key in ["a/x", "a/y", "top"] {
        let _ = aws.s3(&["cp", "ten", &aws.url(key)]).succeed();
    }
    let shown = aws.s3(&["ls", &aws.url("")]).succeed().lines();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!(shown[0].trim(), "PRE a/");
    assert!(shown[1].ends_with("10 top"), "{shown:?}");
    let all = aws.s3(&["ls", "--recursive", "--summarize", &aws.url("")]).succeed().text();
    assert!(all.contains("Total Objects: 3") && all.contains("Total Size: 30"), "{all}");
    let buckets = aws.s3(&["ls"]).succeed().text();
    assert!(buckets.contains(&aws.bucket), "{buckets}");
}

#[test]
fn sync_moves_only_differences() {
    let aws = Aws::new();
    let (up, down) = (aws.dir.join("up"), aws.dir.join("down"));
    tree::write(&up, 10);
    let _ = aws.s3(&["sync", "up", &aws.url("t")]).succeed();
    let again = aws.s3(&["sync", "up", &aws.url("t")]).succeed().text();
    assert_eq!(again, "", "nothing is left to send");
    let _ = aws.s3(&["sync", &aws.url("t"), "down"]).succeed();
    tree::assert_same(&down, &up);
    fs::remove_file(up.join("one byte")).expect("the file is there");
    fs::write(up.join("empty"), "no longer").expect("the directory is writable");
    let _ = aws.s3(&["sync", "up", &aws.url("t"), "--delete"]).succeed();
    let _ = aws.s3(&["sync", &aws.url("t"), "down", "--delete"]).succeed();
    tree::assert_same(&down, &up);
}

#[test]
fn mv_moves() {
    let aws = Aws::new();
    let data = aws.file("up", 7, 5000);
    let _ = aws.s3(&["mv", "up", &aws.url("one")]).succeed();
    assert!(!aws.dir.join("up").exists(), "the local file is gone");
    let _ = aws.s3(&["mv", &aws.url("one"), &aws.url("two")]).succeed();
    assert_eq!(aws.keys(), ["two"]);
    let _ = aws.s3(&["mv", &aws.url("two"), "down"]).succeed();
    assert!(aws.read("down") == data, "the file differs");
    assert!(aws.keys().is_empty());
}

#[test]
fn rm_recursive_removes_a_prefix() {
    let aws = Aws::new();
    tree::write(&aws.dir.join("up"), 20);
    let _ = aws.s3(&["cp", "--recursive", "up", &aws.url("gone")]).succeed();
    let _ = aws.s3(&["cp", "up/empty", &aws.url("stays")]).succeed();
    let _ = aws.s3(&["rm", "--recursive", &aws.url("gone")]).succeed();
    assert_eq!(aws.keys(), ["stays"]);
}

#[test]
fn mb_and_rb_make_and_remove_buckets() {
    let aws = Aws::new();
    let bucket = format!("s3://{}-more", aws.bucket);
    let _ = aws.s3(&["mb", &bucket]).succeed();
    aws.file("up", 8, 10);
    let _ = aws.s3(&["cp", "up", &format!("{bucket}/k")]).succeed();
    let _ = aws.s3(&["rb", &bucket]).fail_with("BucketNotEmpty");
    let _ = aws.s3(&["rb", "--force", &bucket]).succeed();
    let _ = aws.s3(&["ls", &bucket]).fail_with("NoSuchBucket");
}

#[test]
fn presign_gives_a_working_url() {
    let aws = Aws::new();
    let data = aws.file("up", 9, 70_000);
    let _ = aws.s3(&["cp", "up", &aws.url("a b+ö")]).succeed();
    // Unless told otherwise, version 1 of the program presigns with version 2 in us-east-1.
    let config = aws.dir.join("config");
    let signature = "[default]\ns3 =\n  signature_version = s3v4\n";
    fs::write(&config, signature).expect("the work directory is writable");
    let presign = aws.s3(&["presign", &aws.url("a b+ö"), "--expires-in", "60"]);
    let url = presign.env("AWS_CONFIG_FILE", &config).succeed().text();
    let address = aws.server.s3_address();
    let target = url.trim().split_once(&address).map(|(_, target)| target.to_owned());
    let target = target.unwrap_or_else(|| panic!("{url} is not below {address}"));
    let wire = Wire::new(&address, Credentials::new("", ""));
    let answer = wire.get(&target).anonymous().send().status_is(200);
    assert!(answer.body == data, "the body differs");
}

#[test]
fn s3api_reads_heads_and_ranges() {
    let aws = Aws::new();
    let data = aws.file("up", 11, 100_000);
    let put = aws.api("put-object", &["--key", "k", "--body", "up", "--content-type", "text/x"]);
    assert_eq!(put.succeed().json()["ETag"], etag(&data));
    let head = aws.api("head-object", &["--key", "k"]).succeed().json();
    assert_eq!(head["ContentLength"], 100_000);
    assert_eq!(head["ContentType"], "text/x");
    assert_eq!(head["ETag"], etag(&data));
    let range = ["--key", "k", "--range", "bytes=1000-1999", "down"];
    let got = aws.api("get-object", &range).succeed().json();
    assert_eq!(got["ContentRange"], "bytes 1000-1999/100000");
    assert_eq!(aws.read("down"), &data[1000..2000]);
    let _ = aws
        .api("get-object", &["--key", "k", "--range", "bytes=100000-", "x"])
        .fail_with("InvalidRange");
    let _ = aws.api("get-object", &["--key", "missing", "x"]).fail_with("NoSuchKey");
}

#[test]
fn s3api_lists_with_a_delimiter() {
    let aws = Aws::new();
    for key in ["a/1", "a/2", "b/1", "top"] {
        let _ = aws.api("put-object", &["--key", key]).succeed();
    }
    let listed = aws.api("list-objects-v2", &["--delimiter", "/"]).succeed().json();
    assert_eq!(listed["CommonPrefixes"], serde_json::json!([{"Prefix": "a/"}, {"Prefix": "b/"}]));
    assert_eq!(listed["Contents"][0]["Key"], "top");
    let paged = aws.api("list-objects", &["--page-size", "1", "--query", "Contents[].Key"]);
    assert_eq!(paged.succeed().json(), serde_json::json!(["a/1", "a/2", "b/1", "top"]));
}

#[test]
fn s3api_uploads_in_parts() {
    let aws = Aws::new();
    let (one, two) = (aws.file("one", 12, 5 * MIB), aws.file("two", 13, 1000));
    let upload = aws.api("create-multipart-upload", &["--key", "k"]).succeed().json();
    let id = upload["UploadId"].as_str().expect("an upload has an id").to_owned();
    let part = |number: &str, file: &str| {
        let arguments = ["--key", "k", "--upload-id", &id, "--part-number", number, "--body", file];
        aws.api("upload-part", &arguments).succeed().json()["ETag"].clone()
    };
    let parts = serde_json::json!({"Parts": [
        {"PartNumber": 1, "ETag": part("1", "one")},
        {"PartNumber": 2, "ETag": part("2", "two")},
    ]});
    let listed = aws.api("list-parts", &["--key", "k", "--upload-id", &id]).succeed().json();
    assert_eq!(listed["Parts"].as_array().map(Vec::len), Some(2));
    let uploads = aws.api("list-multipart-uploads", &[]).succeed().json();
    assert_eq!(uploads["Uploads"][0]["UploadId"], id.as_str());
    let parts = parts.to_string();
    let complete = ["--key", "k", "--upload-id", &id, "--multipart-upload", &parts];
    let _ = aws.api("complete-multipart-upload", &complete).succeed();
    let _ = aws.api("get-object", &["--key", "k", "down"]).succeed();
    assert!(aws.read("down") == [one, two].concat(), "the parts differ");
    let abort = aws.api("abort-multipart-upload", &["--key", "k", "--upload-id", &id]);
    let _ = abort.fail_with("NoSuchUpload");
}

#[test]
fn s3api_tags() {
    let aws = Aws::new();
    let _ = aws.api("put-object", &["--key", "k", "--tagging", "a=1&b=2"]).succeed();
    let got = aws.api("get-object-tagging", &["--key", "k"]).succeed().json();
    assert_eq!(
        got["TagSet"],
        serde_json::json!([{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    );
    let set = ["--key", "k", "--tagging", "TagSet=[{Key=c,Value=3}]"];
    let _ = aws.api("put-object-tagging", &set).succeed();
    let got = aws.api("get-object-tagging", &["--key", "k"]).succeed().json();
    assert_eq!(got["TagSet"], serde_json::json!([{"Key": "c", "Value": "3"}]));
    let _ = aws.api("delete-object-tagging", &["--key", "k"]).succeed();
    let got = aws.api("get-object-tagging", &["--key", "k"]).succeed().json();
    assert_eq!(got["TagSet"], serde_json::json!([]));
}

#[test]
fn s3api_copies_and_deletes_many() {
    let aws = Aws::new();
    let data = aws.file("up", 14, 3000);
    let _ = aws.api("put-object", &["--key", "k", "--body", "up"]).succeed();
    let source = format!("{}/k", aws.bucket);
    let copied = aws.api("copy-object", &["--key", "c", "--copy-source", &source]).succeed().json();
    assert_eq!(copied["CopyObjectResult"]["ETag"], etag(&data));
    let objects = r#"{"Objects": [{"Key": "k"}, {"Key": "c"}, {"Key": "never"}]}"#;
    let deleted = aws.api("delete-objects", &["--delete", objects]).succeed().json();
    assert_eq!(deleted["Deleted"].as_array().map(Vec::len), Some(3));
    assert!(aws.keys().is_empty());
}

#[test]
fn s3api_writes_conditionally_and_with_checksums() {
    let aws = Aws::new();
    let data = aws.file("up", 15, 3000);
    let put = |more: &[&str]| {
        aws.api("put-object", &["--key", "k", "--body", "up"]).args(more.iter().copied())
    };
    let _ = put(&["--if-none-match", "*", "--checksum-algorithm", "SHA256"]).succeed();
    let _ = put(&["--if-none-match", "*"]).fail_with("PreconditionFailed");
    let _ = put(&["--if-match", "\"00\""]).fail_with("PreconditionFailed");
    let head = aws.api("head-object", &["--key", "k", "--checksum-mode", "ENABLED"]);
    assert_eq!(head.succeed().json()["ChecksumSHA256"], Checksum::Sha256.of(&data));
    let _ = put(&["--if-match", &etag(&data)]).succeed();
}

#[test]
fn errors_carry_their_codes() {
    let aws = Aws::new();
    aws.file("up", 16, 10);
    let _ = aws.s3(&["cp", "up", &format!("s3://{}-none/k", aws.bucket)]).fail_with("NoSuchBucket");
    let _ = aws.s3(&["cp", &aws.url("missing"), "x"]).fail_with("404");
    let second = aws.server.second_account();
    let put = ["s3api", "put-object", "--key", "k", "--bucket", &aws.bucket];
    let _ = aws.program_as(second).args(put).fail_with("AccessDenied");
    let _ = aws.program_as(second).args(["s3", "ls", &aws.url("")]).fail_with("AccessDenied");
    assert!(aws.keys().is_empty());
}
