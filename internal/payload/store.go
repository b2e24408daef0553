package payload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// OpenStore is the store at a URL: `file:///var/lib/amends/payloads` is a [Folder], `s3://bucket/prefix` a [Bucket]. A bucket that
// is not Amazon's has its endpoint and its region in the query: `s3://bucket?endpoint=https://minio.example:9000&region=eu`. The
// credentials are where Amazon's tools look for them, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY first.
func OpenStore(ctx context.Context, at string) (Store, error) {
	u, err := url.Parse(at)
	if err != nil {
		return nil, fmt.Errorf("store of payloads: %w", err)
	}
	switch {
	case u.Scheme == "file" && u.Host == "" && filepath.IsAbs(u.Path) && u.RawQuery == "":
		if err := os.MkdirAll(u.Path, 0o700); err != nil {
			return nil, fmt.Errorf("store of payloads: %w", err)
		}
		return Folder{u.Path}, nil
	case u.Scheme == "s3" && u.Host != "":
		return openBucket(ctx, u)
	}
	return nil, fmt.Errorf("store of payloads %q: it is file:///PATH or s3://BUCKET/PREFIX?endpoint=URL&region=REGION", at)
}

// Folder is a store in a folder. Processes on several machines need one that all of them mount.
type Folder struct{ Path string }

// String implements [Store].
func (f Folder) String() string { return f.Path }

// file spreads the content over folders, none of which gets too long to list.
func (f Folder) file(name string) string { return filepath.Join(f.Path, name[:2], name) }

// Put implements [Store]. Content that is there already gets younger, for whoever deletes what is old.
func (f Folder) Put(_ context.Context, name string, content []byte) error {
	if err := f.write(f.file(name), content); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

func (f Folder) write(to string, content []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part.Name()))
		}
	}()
	_, err = part.Write(content)
	if err == nil {
		err = part.Sync()
	}
	if err = errors.Join(err, part.Close()); err != nil {
		return err
	}
	return os.Rename(part.Name(), to)
}

// Get implements [Store].
func (f Folder) Get(_ context.Context, name string, most int64) ([]byte, error) {
	content, err := readFile(f.file(name), most)
	switch {
	case errors.Is(err, ErrTooLarge):
		return nil, err
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrMissing
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return content, nil
}

func readFile(name string, most int64) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return readAll(file, info.Size(), most)
}

// readAll reads content of that size, unless it is more than most.
func readAll(r io.Reader, size, most int64) ([]byte, error) {
	if size > most {
		return nil, ErrTooLarge
	}
	content := make([]byte, size)
	_, err := io.ReadFull(r, content)
	return content, err
}

// bucketLimit is how long a bucket may take for one payload, all tries together.
const bucketLimit = 10 * time.Second

// Bucket is a store in a bucket of S3, or of whatever speaks its protocol.
type Bucket struct {
	client       *minio.Client
	name, prefix string
}

func openBucket(ctx context.Context, u *url.URL) (*Bucket, error) {
	query := u.Query()
	endpoint, region := query.Get("endpoint"), query.Get("region")
	query.Del("endpoint")
	query.Del("region")
	if len(query) > 0 {
		return nil, fmt.Errorf("store of payloads %s: it takes endpoint and region only", u.Redacted())
	}
	if endpoint == "" {
		endpoint = "https://s3.amazonaws.com"
	}
	at, err := url.Parse(endpoint)
	if err != nil || at.Host == "" || (at.Scheme != "http" && at.Scheme != "https") || strings.Trim(at.Path, "/") != "" {
		return nil, fmt.Errorf("store of payloads: endpoint %q: it is https://HOST:PORT", endpoint)
	}
	client, err := minio.New(at.Host, &minio.Options{
		Creds:  credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}}),
		Secure: at.Scheme == "https",
		Region: region,
		// Temporal's client tries again, too.
		MaxRetries: 3,
	})
	if err != nil {
		return nil, fmt.Errorf("store of payloads: %w", err)
	}
	b := &Bucket{client, u.Host, strings.Trim(u.Path, "/")}
	ctx, cancel := context.WithTimeout(ctx, bucketLimit)
	defer cancel()
	switch exists, err := client.BucketExists(ctx, b.name); {
	case err != nil:
		return nil, fmt.Errorf("store of payloads %s: %w", b, err)
	case !exists:
		return nil, fmt.Errorf("store of payloads: %s has no bucket %s", endpoint, b.name)
	}
	return b, nil
}

// String implements [Store].
func (b *Bucket) String() string { return "s3://" + path.Join(b.name, b.prefix) }

// Put implements [Store].
func (b *Bucket) Put(ctx context.Context, name string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, bucketLimit)
	defer cancel()
	_, err := b.client.PutObject(ctx, b.name, path.Join(b.prefix, name), bytes.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Get implements [Store].
func (b *Bucket) Get(ctx context.Context, name string, most int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, bucketLimit)
	defer cancel()
	object, err := b.client.GetObject(ctx, b.name, path.Join(b.prefix, name), minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer func() { _ = object.Close() }()
	info, err := object.Stat()
	var content []byte
	if err == nil {
		content, err = readAll(object, info.Size, most)
	}
	switch {
	case errors.Is(err, ErrTooLarge):
		return nil, err
	case minio.ToErrorResponse(err).Code == minio.NoSuchKey:
		return nil, ErrMissing
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return content, nil
}
