package connect

import (
	"context"
	"errors"
	"slices"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/amends-dev/amends/internal/payload"
)

// Encoded is options with which every payload and every failure on its way to Temporal is encoded, and on its way back
// decoded. Search attributes are not: Temporal indexes them. Without a codec (nil) payloads are sent as they are, and those
// that need one are refused.
//
// It happens on the connection instead of in a data converter. So whoever reads a history, a list or a memo through the client
// finds it as it was before. And a worker that cannot decode a task, since a key is missing, does not get it: the task goes to
// another one, or comes again later. The SDK would take a failing data converter for an error of the workflow and end the saga,
// with whatever it had done.
func Encoded(options client.Options, codec payload.Codec) (client.Options, error) {
	if codec == nil {
		return intercepted(options, nil, check)
	}
	interceptors := []grpc.UnaryClientInterceptor{cloned}
	if payload.Encrypts(codec) {
		failures, err := converter.NewFailureGRPCClientInterceptor(converter.NewFailureGRPCClientInterceptorOptions{EncodeCommonAttributes: true})
		if err != nil {
			return client.Options{}, err
		}
		interceptors = append(interceptors, failures)
	}
	return intercepted(options, codec.Encode, codec.Decode, interceptors...)
}

func check(_ context.Context, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	return payloads, payload.Check(payloads)
}

// intercepted is options with which payloads are encoded and decoded after what these interceptors do.
func intercepted(options client.Options, encode, decode visit, before ...grpc.UnaryClientInterceptor) (client.Options, error) {
	payloads, err := visiting(encode, decode)
	if err != nil {
		return client.Options{}, err
	}
	options.ConnectionOptions.DialOptions = append(slices.Clone(options.ConnectionOptions.DialOptions),
		grpc.WithChainUnaryInterceptor(append(before, payloads)...))
	return options, nil
}

// cloned hands on a copy of the request. The interceptors after it change what they get, and the SDK sends the same request
// again when it retries: it would be encoded twice, and of failures the text would be lost.
func cloned(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	if m, ok := req.(proto.Message); ok {
		req = proto.Clone(m)
	}
	return invoke(ctx, method, req, reply, cc, options...)
}

// visit makes others of payloads.
type visit = func(context.Context, []*commonpb.Payload) ([]*commonpb.Payload, error)

// visiting has encode see the payloads of requests, unless it is nil, and decode those of replies. In lists, what cannot be
// decoded stays as it is: one saga must not hide the others.
func visiting(encode, decode visit) (grpc.UnaryClientInterceptor, error) {
	all, err := proxy.NewPayloadVisitorInterceptor(proxy.PayloadVisitorInterceptorOptions{Outbound: visitor(encode), Inbound: visitor(decode)})
	if err != nil {
		return nil, err
	}
	lenient := func(ctx context.Context, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
		if out, err := decode(ctx, payloads); err == nil {
			return out, nil
		}
		return payloads, nil
	}
	lists, err := proxy.NewPayloadVisitorInterceptor(proxy.PayloadVisitorInterceptorOptions{Outbound: visitor(encode), Inbound: visitor(lenient)})
	if err != nil {
		return nil, err
	}
	return func(
		ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
	) error {
		if strings.Contains(method, "/List") {
			return lists(ctx, method, req, reply, cc, invoke, options...)
		}
		if err := all(ctx, method, req, reply, cc, invoke, options...); err != nil {
			return err
		}
		if history, ok := reply.(*workflowservice.GetWorkflowExecutionHistoryResponse); ok && len(history.GetRawHistory()) > 0 {
			return status.Error(codes.FailedPrecondition,
				"Temporal sends histories raw, in which payloads are not seen: turn its system.sendRawWorkflowHistory off")
		}
		return nil
	}, nil
}

// visitor is v for the payloads of a message. Its errors have a code that says whether it helps to try again: the SDK does so
// where there is none.
func visitor(v visit) *proxy.VisitPayloadsOptions {
	if v == nil {
		return nil
	}
	return &proxy.VisitPayloadsOptions{
		SkipSearchAttributes: true,
		Visitor: func(ctx *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
			out, err := v(ctx, payloads)
			if err != nil {
				code := codes.DataLoss
				if errors.Is(err, payload.ErrUnavailable) {
					code = codes.Unavailable
				}
				return nil, status.Error(code, err.Error())
			}
			return out, nil
		},
	}
}
