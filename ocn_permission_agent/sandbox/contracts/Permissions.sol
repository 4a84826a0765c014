// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.5.17;

import "./Registry.sol";

/// Stand-in for the Permissions contract of the Open Charging Network: same interface, same events, same answers,
/// own code. A provider lists one service with the permissions it wants; a user agrees to it, and may revoke.
///
/// It keeps what makes the real one hard to follow (permissions-contract.md, section 2):
/// - agreeing and revoking emit the same event, with nothing indexed (T1);
/// - the list of a user's agreements only grows (T2);
/// - deleting a service leaves its agreements standing and irrevocable until it is listed again (T3);
/// - a wider listing counts for everybody who agreed to a narrower one (T4);
/// - a signed call can be replayed for ever, by anybody, also as another function (T5, T6);
/// - whoever asks by (country, id) about a party that is not registered is told about address zero (T13).
///
/// Storage slot 0 is the Registry and slot 4 the agreements, as in the real one. Built for tests and the demo.
contract Permissions {
    struct Service {
        string name;
        string url;
        uint256[] permissions;
    }

    event ServiceUpdate(string name, string url, uint256[] permissions, address provider);
    event ServiceAgreement(address user, address provider);

    Registry private registry;
    address[] public providers;
    mapping(address => bool) private listed;
    mapping(address => Service) private serviceOf;
    mapping(address => mapping(address => bool)) private agreed;
    mapping(address => address[]) private everAgreed;

    constructor(address registryAddress) public {
        registry = Registry(registryAddress);
    }

    // ------------------------------------------------------------------------------------------------ services

    function setService(string memory name, string memory url, uint256[] memory permissions) public {
        listService(msg.sender, name, url, permissions);
    }

    // Neither the provider nor where name, url and permissions begin is signed (T6).
    function setServiceRaw(
        string memory name,
        string memory url,
        uint256[] memory permissions,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) public {
        listService(signerOf(abi.encodePacked(name, url, permissions), v, r, s), name, url, permissions);
    }

    function deleteService() public {
        dropService(msg.sender);
    }

    // The signer's own service goes, whatever `provider` says (T5d).
    function deleteServiceRaw(address provider, uint8 v, bytes32 r, bytes32 s) public {
        dropService(signerOf(abi.encodePacked(provider), v, r, s));
    }

    function getService(address provider)
        public
        view
        returns (
            bytes2 countryCode,
            bytes3 partyId,
            string memory name,
            string memory url,
            uint256[] memory permissions
        )
    {
        (countryCode, partyId, , , , , ) = registry.getPartyDetailsByAddress(provider);
        Service storage service = serviceOf[provider];
        name = service.name;
        url = service.url;
        permissions = service.permissions;
    }

    function getProviders() public view returns (address[] memory) {
        return providers;
    }

    function listService(
        address provider,
        string memory name,
        string memory url,
        uint256[] memory permissions
    ) private {
        require(isParty(provider), "Trying to register a service without party listing in Registry.");
        require(permissions.length > 0, "No permissions given.");
        Service storage service = serviceOf[provider];
        service.name = name;
        service.url = url;
        service.permissions = permissions;
        if (!listed[provider]) {
            listed[provider] = true;
            providers.push(provider);
        }
        emit ServiceUpdate(name, url, permissions, provider);
    }

    // The event carries the old permissions; the literal "" takes two words of the log, where an empty argument of
    // `setService` takes one (T3). Listing again puts the provider into `providers` once more.
    function dropService(address provider) private {
        Service storage service = serviceOf[provider];
        uint256[] memory permissions = service.permissions;
        require(permissions.length > 0, "Cannot delete service that does not exist.");
        delete serviceOf[provider];
        listed[provider] = false;
        emit ServiceUpdate("", "", permissions, provider);
    }

    // ---------------------------------------------------------------------------------------------- agreements

    function createAgreement(address provider) public {
        agree(msg.sender, provider);
    }

    function createAgreementRaw(address provider, uint8 v, bytes32 r, bytes32 s) public {
        agree(signerOf(abi.encodePacked(provider), v, r, s), provider);
    }

    function revokeAgreement(address provider) public {
        withdraw(msg.sender, provider);
    }

    function revokeAgreementRaw(address provider, uint8 v, bytes32 r, bytes32 s) public {
        withdraw(signerOf(abi.encodePacked(provider), v, r, s), provider);
    }

    function getUserAgreementsByAddress(address user) public view returns (address[] memory) {
        return everAgreed[user];
    }

    function getUserAgreementsByOcpi(bytes2 countryCode, bytes3 partyId) public view returns (address[] memory) {
        return everAgreed[addressOf(countryCode, partyId)];
    }

    function hasUserAgreementByAddress(address user, address provider) public view returns (bool) {
        return agreed[user][provider];
    }

    function hasUserAgreementByOcpi(bytes2 countryCode, bytes3 partyId, address provider) public view returns (bool) {
        return agreed[addressOf(countryCode, partyId)][provider];
    }

    function agree(address user, address provider) private {
        requirePair(user, provider);
        require(!agreed[user][provider], "Agreement already made between user and provider.");
        agreed[user][provider] = true;
        everAgreed[user].push(provider);
        emit ServiceAgreement(user, provider);
    }

    function withdraw(address user, address provider) private {
        requirePair(user, provider);
        require(agreed[user][provider], "No Agreement made between user and provider.");
        agreed[user][provider] = false;
        emit ServiceAgreement(user, provider);
    }

    function requirePair(address user, address provider) private view {
        require(isParty(user), "Service user has no party listing in Registry.");
        require(serviceOf[provider].permissions.length > 0, "Provider has no registered Service.");
    }

    // ------------------------------------------------------------------------------------------------- helpers

    function isParty(address who) private view returns (bool) {
        (address operator, ) = registry.getOperatorByAddress(who);
        return operator != address(0);
    }

    function addressOf(bytes2 countryCode, bytes3 partyId) private view returns (address who) {
        (who, , , , , ) = registry.getPartyDetailsByOcpi(countryCode, partyId);
    }

    function signerOf(bytes memory packed, uint8 v, bytes32 r, bytes32 s) private pure returns (address) {
        bytes32 digest = keccak256(abi.encodePacked("\x19Ethereum Signed Message:\n32", keccak256(packed)));
        return ecrecover(digest, v, r, s);
    }
}
