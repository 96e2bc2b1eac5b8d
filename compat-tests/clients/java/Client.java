import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3ClientBuilder;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.ChecksumAlgorithm;
import software.amazon.awssdk.services.s3.model.ChecksumMode;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.NoSuchBucketException;
import software.amazon.awssdk.services.s3.model.NoSuchKeyException;
import software.amazon.awssdk.services.s3.model.ObjectIdentifier;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.model.S3Object;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;

/**
 * The AWS SDK for Java v2 with default settings, one scenario per run.
 *
 * <p>A scenario makes its own bucket and throws when something differs. Endpoint, region and
 * credentials come from the environment.
 */
public final class Client {
    private static final int MIB = 1024 * 1024;
    private static final Map<String, Scenario> SCENARIOS = new LinkedHashMap<>();

    static {
        SCENARIOS.put("put_get_head_delete_roundtrip", Client::putGetHeadDelete);
        SCENARIOS.put("parts_join_to_one_object", Client::multipart);
        SCENARIOS.put("streams_are_sent_and_received", Client::streams);
        SCENARIOS.put("pages_join_to_the_whole_listing", Client::pages);
        SCENARIOS.put("presigned_requests", Client::presigned);
        SCENARIOS.put("copies_and_deletes_many", Client::copiesAndDeletesMany);
        SCENARIOS.put("conditional_writes", Client::conditionalWrites);
        SCENARIOS.put("every_checksum_algorithm", Client::everyChecksum);
        SCENARIOS.put("keys_are_literal", Client::literalKeys);
        SCENARIOS.put("errors_are_typed", Client::typedErrors);
        SCENARIOS.put("another_account_is_refused", Client::anotherAccount);
    }

    private Client() {}

    @FunctionalInterface
    private interface Scenario {
        void run(S3Client s3, String bucket) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("--list")) {
            SCENARIOS.keySet().forEach(System.out::println);
            return;
        }
        try (S3Client s3 = builder().build()) {
            String bucket = System.getenv("COMPAT_PREFIX") + "-0";
            s3.createBucket(b -> b.bucket(bucket));
            SCENARIOS.get(args[0]).run(s3, bucket);
        }
    }

    private static S3ClientBuilder builder() {
        return S3Client.builder().forcePathStyle(true);
    }

    private static byte[] payload(long seed, int length) {
        byte[] data = new byte[length];
        new Random(seed).nextBytes(data);
        return data;
    }

    private static String etag(byte[] data) throws NoSuchAlgorithmException {
        return '"' + HexFormat.of().formatHex(MessageDigest.getInstance("MD5").digest(data)) + '"';
    }

    private static void equal(Object actual, Object wanted, String what) {
        if (!Objects.equals(actual, wanted)) {
            throw new AssertionError(what + ": got " + actual + ", wanted " + wanted);
        }
    }

    private static void same(byte[] actual, byte[] wanted, String what) {
        if (!Arrays.equals(actual, wanted)) {
            throw new AssertionError(what + ": " + actual.length + " bytes differ from " + wanted.length);
        }
    }

    private static void fails(int status, String code, Runnable operation) {
        try {
            operation.run();
        } catch (S3Exception error) {
            equal(error.statusCode(), status, "status");
            equal(error.awsErrorDetails().errorCode(), code, "code");
            return;
        }
        throw new AssertionError("succeeded, wanted " + code);
    }

    private static byte[] read(S3Client s3, String bucket, String key) {
        return s3.getObjectAsBytes(b -> b.bucket(bucket).key(key)).asByteArray();
    }

    private static void put(S3Client s3, String bucket, String key, byte[] data) {
        s3.putObject(b -> b.bucket(bucket).key(key), RequestBody.fromBytes(data));
    }

    private static void putGetHeadDelete(S3Client s3, String bucket) throws Exception {
        for (int length : new int[] {0, 1, 65537, 9 * MIB + 7}) {
            byte[] data = payload(length, length);
            String key = "dir/ü +" + length;
            var sent = s3.putObject(
                    b -> b.bucket(bucket).key(key).contentType("text/x").metadata(Map.of("a", "1")),
                    RequestBody.fromBytes(data));
            equal(sent.eTag(), etag(data), "ETag of PUT");
            var head = s3.headObject(b -> b.bucket(bucket).key(key));
            equal(head.contentLength(), (long) length, "length");
            equal(head.eTag(), etag(data), "ETag of HEAD");
            equal(head.contentType(), "text/x", "content type");
            equal(head.metadata(), Map.of("a", "1"), "metadata");
            same(read(s3, bucket, key), data, key);
            s3.deleteObject(b -> b.bucket(bucket).key(key));
            fails(404, "NoSuchKey", () -> read(s3, bucket, key));
        }
    }

    private static void multipart(S3Client s3, String bucket) {
        byte[] first = payload(1, 5 * MIB);
        byte[] second = payload(2, 100_000);
        String upload = s3.createMultipartUpload(b -> b.bucket(bucket).key("k")).uploadId();
        List<CompletedPart> parts = new ArrayList<>();
        for (byte[] body : List.of(first, second)) {
            int number = parts.size() + 1;
            String tag = s3.uploadPart(
                            b -> b.bucket(bucket).key("k").uploadId(upload).partNumber(number),
                            RequestBody.fromBytes(body))
                    .eTag();
            parts.add(CompletedPart.builder().partNumber(number).eTag(tag).build());
        }
        var done = s3.completeMultipartUpload(
                b -> b.bucket(bucket).key("k").uploadId(upload).multipartUpload(m -> m.parts(parts)));
        equal(done.eTag().endsWith("-2\""), true, done.eTag());
        byte[] whole = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, whole, first.length, second.length);
        same(read(s3, bucket, "k"), whole, "multipart");
    }

    private static void streams(S3Client s3, String bucket) throws IOException {
        byte[] data = payload(3, 6 * MIB + 1);
        var body = RequestBody.fromInputStream(new ByteArrayInputStream(data), data.length);
        s3.putObject(b -> b.bucket(bucket).key("k"), body);
        try (var stream = s3.getObject(b -> b.bucket(bucket).key("k"))) {
            same(stream.readAllBytes(), data, "stream");
        }
        try (var stream = s3.getObject(b -> b.bucket(bucket).key("k").range("bytes=100-299"))) {
            same(stream.readAllBytes(), Arrays.copyOfRange(data, 100, 300), "range");
        }
    }

    private static void pages(S3Client s3, String bucket) {
        List<String> keys = new ArrayList<>();
        for (int n = 10; n < 35; n++) {
            keys.add("a/" + n + " +ü&<>");
        }
        keys.forEach(key -> put(s3, bucket, key, new byte[] {1}));
        put(s3, bucket, "b", new byte[] {1});
        var found = s3.listObjectsV2Paginator(b -> b.bucket(bucket).prefix("a/").maxKeys(7)).contents().stream()
                .map(S3Object::key)
                .toList();
        equal(found, keys, "keys");
        var rolled = s3.listObjectsV2(b -> b.bucket(bucket).delimiter("/"));
        equal(rolled.commonPrefixes().stream().map(p -> p.prefix()).toList(), List.of("a/"), "prefixes");
        equal(rolled.contents().stream().map(S3Object::key).toList(), List.of("b"), "keys");
    }

    private static void presigned(S3Client s3, String bucket) throws Exception {
        byte[] data = payload(5, 70_000);
        // Unlike the client, the presigner does not take the endpoint from the environment.
        URI endpoint = URI.create(System.getenv("AWS_ENDPOINT_URL"));
        var pathStyle = S3Configuration.builder().pathStyleAccessEnabled(true).build();
        try (S3Presigner signer = S3Presigner.builder()
                .endpointOverride(endpoint)
                .serviceConfiguration(pathStyle)
                .build()) {
            var upload = signer.presignPutObject(p -> p.signatureDuration(Duration.ofMinutes(1))
                    .putObjectRequest(b -> b.bucket(bucket).key("a b")));
            var send = HttpRequest.newBuilder(upload.url().toURI())
                    .PUT(HttpRequest.BodyPublishers.ofByteArray(data))
                    .build();
            HttpClient http = HttpClient.newHttpClient();
            equal(http.send(send, HttpResponse.BodyHandlers.ofString()).statusCode(), 200, "PUT");
            var download = signer.presignGetObject(p -> p.signatureDuration(Duration.ofMinutes(1))
                    .getObjectRequest(b -> b.bucket(bucket).key("a b")));
            var fetch = HttpRequest.newBuilder(download.url().toURI()).build();
            var got = http.send(fetch, HttpResponse.BodyHandlers.ofByteArray());
            equal(got.statusCode(), 200, "GET");
            same(got.body(), data, "presigned");
        }
        same(read(s3, bucket, "a b"), data, "presigned");
    }

    private static void copiesAndDeletesMany(S3Client s3, String bucket) {
        byte[] data = payload(6, 300_000);
        put(s3, bucket, "source", data);
        List<ObjectIdentifier> copies = new ArrayList<>();
        for (int n = 0; n < 5; n++) {
            String key = "copy " + n;
            s3.copyObject(b -> b.sourceBucket(bucket)
                    .sourceKey("source")
                    .destinationBucket(bucket)
                    .destinationKey(key));
            same(read(s3, bucket, key), data, key);
            copies.add(ObjectIdentifier.builder().key(key).build());
        }
        var deleted = s3.deleteObjects(b -> b.bucket(bucket).delete(d -> d.objects(copies)));
        equal(deleted.deleted().size(), 5, "deleted");
        equal(deleted.errors().size(), 0, "errors");
        var rest = s3.listObjectsV2(b -> b.bucket(bucket)).contents();
        equal(rest.stream().map(S3Object::key).toList(), List.of("source"), "what stays");
    }

    private static void conditionalWrites(S3Client s3, String bucket) throws Exception {
        s3.putObject(b -> b.bucket(bucket).key("k").ifNoneMatch("*"), RequestBody.fromString("one"));
        fails(412, "PreconditionFailed", () -> s3.putObject(
                b -> b.bucket(bucket).key("k").ifNoneMatch("*"), RequestBody.fromString("two")));
        String other = etag("other".getBytes());
        fails(412, "PreconditionFailed", () -> s3.putObject(
                b -> b.bucket(bucket).key("k").ifMatch(other), RequestBody.fromString("two")));
        String one = etag("one".getBytes());
        s3.putObject(b -> b.bucket(bucket).key("k").ifMatch(one), RequestBody.fromString("two"));
        same(read(s3, bucket, "k"), "two".getBytes(), "body");
    }

    private static void everyChecksum(S3Client s3, String bucket) {
        byte[] data = payload(7, MIB + 1);
        for (ChecksumAlgorithm algorithm : List.of(
                ChecksumAlgorithm.CRC32, ChecksumAlgorithm.SHA1, ChecksumAlgorithm.SHA256)) {
            String key = algorithm.toString();
            s3.putObject(b -> b.bucket(bucket).key(key).checksumAlgorithm(algorithm), RequestBody.fromBytes(data));
            var got = s3.getObjectAsBytes(b -> b.bucket(bucket).key(key).checksumMode(ChecksumMode.ENABLED));
            same(got.asByteArray(), data, key);
            var answer = got.response();
            String value = switch (algorithm) {
                case CRC32 -> answer.checksumCRC32();
                case SHA1 -> answer.checksumSHA1();
                default -> answer.checksumSHA256();
            };
            equal(value != null, true, key + " comes back");
        }
    }

    private static void literalKeys(S3Client s3, String bucket) {
        List<String> keys = List.of("%2F", "+ +", "a//b", "a?b=c#d", "e\u0301", "tab\t", "trail/", "ü😀");
        for (String key : keys) {
            put(s3, bucket, key, key.getBytes());
        }
        for (String key : keys) {
            same(read(s3, bucket, key), key.getBytes(), key);
        }
        var listed = s3.listObjectsV2(b -> b.bucket(bucket)).contents();
        equal(listed.stream().map(S3Object::key).toList(), keys, "keys");
    }

    private static void typedErrors(S3Client s3, String bucket) {
        try {
            read(s3, bucket, "missing");
            throw new AssertionError("succeeded, wanted NoSuchKeyException");
        } catch (NoSuchKeyException error) {
            equal(error.requestId() != null, true, "errors carry the request id");
        }
        try {
            s3.listObjectsV2(b -> b.bucket(bucket + "-none"));
            throw new AssertionError("succeeded, wanted NoSuchBucketException");
        } catch (NoSuchBucketException error) {
            equal(error.statusCode(), 404, "status");
        }
        put(s3, bucket, "k", new byte[] {1});
        fails(409, "BucketNotEmpty", () -> s3.deleteBucket(b -> b.bucket(bucket)));
    }

    private static void anotherAccount(S3Client s3, String bucket) {
        put(s3, bucket, "k", "mine".getBytes());
        var credentials = AwsBasicCredentials.create(
                System.getenv("COMPAT_SECOND_ACCESS_KEY"), System.getenv("COMPAT_SECOND_SECRET_KEY"));
        try (S3Client other = builder()
                .credentialsProvider(StaticCredentialsProvider.create(credentials))
                .build()) {
            fails(403, "AccessDenied", () -> read(other, bucket, "k"));
            fails(403, "AccessDenied", () -> put(other, bucket, "k", "theirs".getBytes()));
        }
        same(read(s3, bucket, "k"), "mine".getBytes(), "body");
    }
}
