// The AWS SDK for Go v2 with default settings, one scenario per run.
//
// A scenario makes its own bucket, checks what comes back byte for byte, and returns an error when
// something differs. Endpoint, region and credentials come from the environment.
package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"sort"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

const mib = 1 << 20

var scenarios = map[string]func(context.Context) error{
	"put_get_head_delete_roundtrip": putGetHeadDelete,
	"uploader_and_downloader":       uploaderAndDownloader,
	"uploader_streams":              uploaderStreams,
	"pages_join_to_the_whole_list":  pages,
	"errors_are_typed":              typedErrors,
	"presigned_requests":            presigned,
	"copies_and_deletes_many":       copiesAndDeletesMany,
	"conditional_writes":            conditionalWrites,
	"every_checksum_algorithm":      everyChecksum,
	"keys_are_literal":              literalKeys,
	"another_account_is_refused":    anotherAccount,
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go-client SCENARIO | --list")
		os.Exit(2)
	}
	if os.Args[1] == "--list" {
		for name := range scenarios {
			fmt.Println(name)
		}
		return
	}
	run, known := scenarios[os.Args[1]]
	if !known {
		fmt.Fprintln(os.Stderr, "no scenario", os.Args[1])
		os.Exit(2)
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var buckets int

func client(ctx context.Context, options ...func(*config.LoadOptions) error) (*s3.Client, error) {
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, err
	}
	return s3.NewFromConfig(loaded, func(o *s3.Options) { o.UsePathStyle = true }), nil
}

// A client and a bucket that no other scenario uses.
func begin(ctx context.Context) (*s3.Client, *string, error) {
	c, err := client(ctx)
	if err != nil {
		return nil, nil, err
	}
	bucket := bucketName()
	_, err = c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket})
	return c, bucket, err
}

// A bucket name that no other scenario uses.
func bucketName() *string {
	buckets++
	return aws.String(fmt.Sprintf("%s-%d", os.Getenv("COMPAT_PREFIX"), buckets))
}

func payload(seed int64, length int) []byte {
	data := make([]byte, length)
	rand.New(rand.NewSource(seed)).Read(data)
	return data
}

func etag(data []byte) string {
	sum := md5.Sum(data)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func expect(what string, ok bool) error {
	if !ok {
		return fmt.Errorf("%s", what)
	}
	return nil
}

func expectCode(err error, code string) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("wanted %s, got %v", code, err)
	}
	if api.ErrorCode() != code {
		return fmt.Errorf("wanted %s, got %s", code, api.ErrorCode())
	}
	return nil
}

func put(ctx context.Context, c *s3.Client, bucket *string, key string, data []byte) (*s3.PutObjectOutput, error) {
	return c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: bytes.NewReader(data)})
}

func read(ctx context.Context, c *s3.Client, bucket *string, key string) ([]byte, error) {
	got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	return io.ReadAll(got.Body)
}

func expectBody(ctx context.Context, c *s3.Client, bucket *string, key string, wanted []byte) error {
	data, err := read(ctx, c, bucket, key)
	if err != nil {
		return fmt.Errorf("read %q: %w", key, err)
	}
	return expect(fmt.Sprintf("%q differs: %d bytes, wanted %d", key, len(data), len(wanted)), bytes.Equal(data, wanted))
}

func putGetHeadDelete(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	for _, length := range []int{0, 1, 65537, 9*mib + 7} {
		data, key := payload(int64(length), length), fmt.Sprintf("dir/ü %d", length)
		sent, err := c.PutObject(ctx, &s3.PutObjectInput{
			Bucket: bucket, Key: &key, Body: bytes.NewReader(data),
			ContentType: aws.String("text/x"), Metadata: map[string]string{"a": "1"},
		})
		if err != nil {
			return err
		}
		head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: &key})
		if err != nil {
			return err
		}
		same := *sent.ETag == etag(data) && *head.ETag == etag(data) && *head.ContentLength == int64(length)
		if err := expect("ETag or length differs", same); err != nil {
			return err
		}
		described := *head.ContentType == "text/x" && head.Metadata["a"] == "1"
		if err := expect("metadata differs", described); err != nil {
			return err
		}
		if err := expectBody(ctx, c, bucket, key, data); err != nil {
			return err
		}
		if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: &key}); err != nil {
			return err
		}
		_, err = read(ctx, c, bucket, key)
		if err := expectCode(err, "NoSuchKey"); err != nil {
			return err
		}
	}
	return nil
}

func uploaderAndDownloader(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	data := payload(1, 17*mib+3)
	uploader := manager.NewUploader(c, func(u *manager.Uploader) { u.PartSize = 5 * mib })
	sent, err := uploader.Upload(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("k"), Body: bytes.NewReader(data)})
	if err != nil {
		return err
	}
	if err := expect("ETag "+*sent.ETag, strings.HasSuffix(*sent.ETag, `-4"`)); err != nil {
		return err
	}
	buffer := manager.NewWriteAtBuffer(nil)
	downloader := manager.NewDownloader(c, func(d *manager.Downloader) { d.PartSize = 3 * mib })
	if _, err := downloader.Download(ctx, buffer, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("k")}); err != nil {
		return err
	}
	return expect("the download differs", bytes.Equal(buffer.Bytes(), data))
}

// A body of unknown length, as a pipe gives it.
func uploaderStreams(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	for _, length := range []int{100, 11 * mib} {
		data, key := payload(int64(length), length), fmt.Sprint(length)
		stream := io.MultiReader(bytes.NewReader(data[:50]), bytes.NewReader(data[50:]))
		uploader := manager.NewUploader(c)
		if _, err := uploader.Upload(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: stream}); err != nil {
			return err
		}
		if err := expectBody(ctx, c, bucket, key, data); err != nil {
			return err
		}
	}
	return nil
}

func pages(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	var wanted []string
	for n := range 25 {
		key := fmt.Sprintf("a/%02d +ü", n)
		wanted = append(wanted, key)
		if _, err := put(ctx, c, bucket, key, []byte("x")); err != nil {
			return err
		}
	}
	if _, err := put(ctx, c, bucket, "b", []byte("x")); err != nil {
		return err
	}
	var found []string
	lister := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("a/"), MaxKeys: aws.Int32(7)})
	for lister.HasMorePages() {
		page, err := lister.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, entry := range page.Contents {
			found = append(found, *entry.Key)
		}
	}
	if err := expect(fmt.Sprintf("listed %q", found), strings.Join(found, "\n") == strings.Join(wanted, "\n")); err != nil {
		return err
	}
	rolled, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Delimiter: aws.String("/")})
	if err != nil {
		return err
	}
	ok := len(rolled.CommonPrefixes) == 1 && *rolled.CommonPrefixes[0].Prefix == "a/" && len(rolled.Contents) == 1
	return expect("common prefixes differ", ok)
}

func typedErrors(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	_, err = read(ctx, c, bucket, "missing")
	var noSuchKey *types.NoSuchKey
	if err := expect(fmt.Sprintf("wanted NoSuchKey, got %v", err), errors.As(err, &noSuchKey)); err != nil {
		return err
	}
	_, err = c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: aws.String("missing")})
	var notFound *types.NotFound
	if err := expect(fmt.Sprintf("wanted NotFound, got %v", err), errors.As(err, &notFound)); err != nil {
		return err
	}
	none := aws.String(*bucket + "-none")
	_, err = c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: none})
	var noSuchBucket *types.NoSuchBucket
	if err := expect(fmt.Sprintf("wanted NoSuchBucket, got %v", err), errors.As(err, &noSuchBucket)); err != nil {
		return err
	}
	if _, err := put(ctx, c, bucket, "k", []byte("x")); err != nil {
		return err
	}
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
	return expectCode(err, "BucketNotEmpty")
}

func presigned(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	data := payload(5, 70000)
	signer := s3.NewPresignClient(c)
	upload, err := signer.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("a b")})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, upload.Method, upload.URL, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header = upload.SignedHeader.Clone()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := expect("PUT answered "+answer.Status, answer.StatusCode == 200); err != nil {
		return err
	}
	download, err := signer.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("a b")})
	if err != nil {
		return err
	}
	got, err := http.Get(download.URL)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		return err
	}
	return expect("GET answered "+got.Status, got.StatusCode == 200 && bytes.Equal(body, data))
}

func copiesAndDeletesMany(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	data := payload(6, 300000)
	if _, err := put(ctx, c, bucket, "source", data); err != nil {
		return err
	}
	var objects []types.ObjectIdentifier
	for n := range 5 {
		key := fmt.Sprintf("copy %d", n)
		_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: &key, CopySource: aws.String(*bucket + "/source")})
		if err != nil {
			return err
		}
		if err := expectBody(ctx, c, bucket, key, data); err != nil {
			return err
		}
		objects = append(objects, types.ObjectIdentifier{Key: &key})
	}
	deleted, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: objects}})
	if err != nil {
		return err
	}
	if err := expect("not all were deleted", len(deleted.Deleted) == 5 && len(deleted.Errors) == 0); err != nil {
		return err
	}
	rest, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket})
	if err != nil {
		return err
	}
	return expect("only the source stays", len(rest.Contents) == 1 && *rest.Contents[0].Key == "source")
}

func conditionalWrites(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	write := func(body string, none, match *string) error {
		_, err := c.PutObject(ctx, &s3.PutObjectInput{
			Bucket: bucket, Key: aws.String("k"), Body: strings.NewReader(body), IfNoneMatch: none, IfMatch: match,
		})
		return err
	}
	if err := write("one", aws.String("*"), nil); err != nil {
		return err
	}
	if err := expectCode(write("two", aws.String("*"), nil), "PreconditionFailed"); err != nil {
		return err
	}
	if err := expectCode(write("two", nil, aws.String(etag([]byte("x")))), "PreconditionFailed"); err != nil {
		return err
	}
	if err := write("two", nil, aws.String(etag([]byte("one")))); err != nil {
		return err
	}
	return expectBody(ctx, c, bucket, "k", []byte("two"))
}

func everyChecksum(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	for _, algorithm := range []types.ChecksumAlgorithm{
		types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme,
		types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256,
	} {
		data, key := payload(9, mib), string(algorithm)
		_, err := c.PutObject(ctx, &s3.PutObjectInput{
			Bucket: bucket, Key: &key, Body: bytes.NewReader(data), ChecksumAlgorithm: algorithm,
		})
		if err != nil {
			return fmt.Errorf("%s: %w", algorithm, err)
		}
		// The SDK verifies the checksum that comes with the answer.
		if err := expectBody(ctx, c, bucket, key, data); err != nil {
			return fmt.Errorf("%s: %w", algorithm, err)
		}
	}
	return nil
}

func literalKeys(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	keys := []string{"a//b", "/lead", "trail/", "a/../b", "..", ".", "%2F", "+ +", "emoji 😀", "e\u0301", "a?b=c#d", "tab\t"}
	for _, key := range keys {
		if _, err := put(ctx, c, bucket, key, []byte(key)); err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
	}
	for _, key := range keys {
		if err := expectBody(ctx, c, bucket, key, []byte(key)); err != nil {
			return err
		}
	}
	listed, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket})
	if err != nil {
		return err
	}
	var found []string
	for _, entry := range listed.Contents {
		found = append(found, *entry.Key)
	}
	sort.Strings(keys)
	return expect(fmt.Sprintf("listed %q", found), strings.Join(found, "\n") == strings.Join(keys, "\n"))
}

func anotherAccount(ctx context.Context) error {
	c, bucket, err := begin(ctx)
	if err != nil {
		return err
	}
	if _, err := put(ctx, c, bucket, "k", []byte("mine")); err != nil {
		return err
	}
	provider := credentials.NewStaticCredentialsProvider(
		os.Getenv("COMPAT_SECOND_ACCESS_KEY"), os.Getenv("COMPAT_SECOND_SECRET_KEY"), "")
	other, err := client(ctx, config.WithCredentialsProvider(provider))
	if err != nil {
		return err
	}
	_, err = read(ctx, other, bucket, "k")
	if err := expectCode(err, "AccessDenied"); err != nil {
		return err
	}
	_, err = put(ctx, other, bucket, "k", []byte("theirs"))
	if err := expectCode(err, "AccessDenied"); err != nil {
		return err
	}
	return expectBody(ctx, c, bucket, "k", []byte("mine"))
}
