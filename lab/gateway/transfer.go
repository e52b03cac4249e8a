package main

import (
	"context"

	"github.com/livekit/protocol/rpc"
	"github.com/livekit/psrpc"
)

func (g *gateway) TransferSIPParticipant(context.Context, *rpc.InternalTransferSIPParticipantRequest) (*rpc.InternalTransferSIPParticipantResponse, error) {
	return nil, psrpc.ErrUnimplemented
}
